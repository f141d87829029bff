"""RegMean against worked numbers (float64) and an independent least-squares solution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from in_memory import run_recipe

from merge import MergeError, UsageError
from merge.recipe import Merge, Model, Recipe

X_A, X_B = np.array([[1.0, 0], [1, 1]]), np.array([[0.0, 2], [2, 2], [0, 0], [0, 0]])
W_A, W_B = np.eye(2), np.array([[0.0, 1], [2, 0]])
BY_FACTOR = {
    1.0: [[0.4545454545, 0.7272727273], [0.9090909091, 0.4545454545]],
    0.95: [[0.4540096822, 0.7312144812], [0.9320143128, 0.4287518417]],
    0.9: [[0.4539732494, 0.7348544453], [0.9504327301, 0.4067663257]],
    0.5: [[0.4647887324, 0.7605633803], [1.0140845070, 0.2957746479]],
    0.1: [[0.4907081868, 0.7905575088], [1.0085384229, 0.2194876946]],
    0.0: [[0.5, 0.8], [1.0, 0.2]],
}
WITH_SUMS = [[0.3103448276, 0.8275862069], [1.2413793103, 0.3103448276]]


def gram(rows: np.ndarray) -> np.ndarray:
    return rows.T @ rows / len(rows)


def regmean(matrices, grams, weights=None, more=None, **options):
    models = tuple(
        Model(
            {"x.weight": torch.tensor(matrix), **(more[number] if more else {})},
            {} if weights is None else {"weight": weights[number]},
            statistics={"gram": {"x.weight": torch.tensor(one)}},
        )
        for number, (matrix, one) in enumerate(zip(matrices, grams, strict=True))
    )
    return run_recipe(Recipe(Merge("regmean", models, None, options)))


def close(found, wanted, tolerance=1e-9):
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), rtol=0, atol=tolerance)


@pytest.mark.parametrize("factor", BY_FACTOR)
def test_worked_numbers(factor):
    found, _, outcome = regmean([W_A, W_B], [gram(X_A), gram(X_B)], off_diagonal=factor)
    close(found["x.weight"], BY_FACTOR[factor], 2e-10)
    assert outcome.records["x.weight"]["ridge"] == 0
    assert outcome.records["x.weight"]["off_diagonal"] == factor


def test_sums_in_place_of_means_give_another_matrix():
    found, *_ = regmean([W_A, W_B], [X_A.T @ X_A, X_B.T @ X_B], off_diagonal=1.0)
    close(found["x.weight"], WITH_SUMS)
    assert not np.allclose(WITH_SUMS, BY_FACTOR[1.0], atol=0.1)


def test_weights_count_in_the_regression_and_in_the_average():
    more = [{"bias": torch.tensor([1.0, 2.0])}, {"bias": torch.tensor([5.0, 2.0])}]
    grams = [gram(X_A), gram(X_B)]
    found, *_ = regmean([W_A, W_B], grams, (0.75, 0.25), more, off_diagonal=1.0)
    close(found["x.weight"], [[0.6774193548, 0.5161290323], [0.4516129032, 0.6774193548]])
    assert found["bias"].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0])
def test_equal_gram_matrices_give_the_average(factor):
    found, *_ = regmean([W_A, W_B], [gram(X_A)] * 2, off_diagonal=factor)
    close(found["x.weight"], (W_A + W_B) / 2, 1e-14)


def test_diagonal_gram_matrices_pick_columns():
    found, *_ = regmean([W_A, W_B], [np.diag([1.0, 0]), np.diag([0, 1.0])])
    close(found["x.weight"], [[1.0, 1], [0, 0]], 1e-14)


def test_one_factor_for_all_inputs_changes_nothing_and_neither_does_the_order():
    rows = np.random.default_rng(0)
    matrices, inputs = [rows.normal(size=(4, 6)) for _ in range(3)], [rows.normal(size=(20, 6)) for _ in range(3)]
    found, *_ = regmean(matrices, [gram(x) for x in inputs])
    scaled, *_ = regmean(matrices, [gram(10 * x) for x in inputs])
    turned, *_ = regmean(matrices[::-1], [gram(x) for x in inputs[::-1]])
    torch.testing.assert_close(scaled, found)
    torch.testing.assert_close(turned, found)


def test_without_a_factor_it_is_the_least_squares_fit_to_the_models_own_outputs():
    rows = np.random.default_rng(1)
    matrices, inputs = [rows.normal(size=(4, 6)) for _ in range(2)], [rows.normal(size=(n, 6)) for n in (30, 50)]
    stacked = np.concatenate([x / np.sqrt(len(x)) for x in inputs])
    outputs = np.concatenate([x @ w.T / np.sqrt(len(x)) for x, w in zip(inputs, matrices, strict=True)])
    wanted = np.linalg.lstsq(stacked, outputs, rcond=None)[0].T
    found, *_ = regmean(matrices, [gram(x) for x in inputs], off_diagonal=1.0)
    close(found["x.weight"], wanted)


def test_an_input_that_never_occurred_keeps_the_average_and_the_ridge_is_reported():
    matrices = [np.array([[1.0, 5]]), np.array([[3.0, 9]])]
    found, _, outcome = regmean(matrices, [np.diag([1.0, 0])] * 2)
    close(found["x.weight"], [[2.0, 7]], 1e-12)
    assert 0 < outcome.records["x.weight"]["ridge"] < 1e-7
    found, _, outcome = regmean(matrices, [np.zeros((2, 2))] * 2)
    close(found["x.weight"], [[2.0, 7]], 1e-12)


def test_matrices_that_are_no_inner_products_are_refused():
    with pytest.raises(MergeError, match=r"'x.weight'.*not positive"):
        regmean([W_A, W_B], [np.array([[1.0, 5], [5, 1.0]])] * 2)
    with pytest.raises(MergeError, match="infinity or NaN"):
        regmean([W_A, W_B], [np.array([[1.0, np.nan], [np.nan, 1.0]])] * 2)


def test_all_weights_of_zero_are_refused():
    with pytest.raises(UsageError, match="all weights are 0"):
        regmean([W_A, W_B], [gram(X_A), gram(X_B)], (0.0, 0.0))


def test_one_model_is_refused():
    with pytest.raises(UsageError, match="regmean merges at least 2 models, but one was given"):
        regmean([W_A], [gram(X_A)])


@pytest.mark.parametrize("region", ["early", "middle", "late"])
def test_outside_the_region_matrices_are_averaged(region):
    names = [f"encoder.layer.{number}.w.weight" for number in range(6)] + ["head.weight"]
    states = [{name: torch.tensor(matrix) for name in names} for matrix in (W_A, W_B)]
    statistics = [{name: torch.tensor(gram(rows)) for name in names} for rows in (X_A, X_B)]
    models = tuple(Model(state, statistics={"gram": one}) for state, one in zip(states, statistics, strict=True))
    found, *_ = run_recipe(Recipe(Merge("regmean", models, None, {"region": region, "off_diagonal": 1.0})))
    inside = {"early": (0, 1), "middle": (2, 3), "late": (4, 5)}[region]
    for number, name in enumerate(names):
        wanted = BY_FACTOR[1.0] if number in inside else (W_A + W_B) / 2
        close(found[name], wanted)
