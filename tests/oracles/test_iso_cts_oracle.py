"""Iso-CTS worked by hand and against a reference in float64; its relation to Iso-C; low rank and thin matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoint_files import equal_bits
from in_memory import merge_states
from random_models import DTYPES, close, compare, merged_matrix, numbers, of_rank, procrustes, random_states, svd

from merge import engine
from merge.streaming.torch_backend import TorchBackend


def test_by_hand():
    # Four directions, int(.5 * 4) = 2 common ones, round(2 / 2) = 1 per task. The sum is diag(8, 6, 1, -2): e1 and e2
    # are common. Left of the first are 4 e3 and 1 e4, of the second -3 e3 and -3.5 e4: 4 e3 and -3.5 e4 are taken.
    # The mean of 8, 6, 4 and 3.5 is 5.375.
    one, two = np.diag([5.0, 1, 4, 1.5]), np.diag([3.0, 5, -3, -3.5])
    found = merged_matrix("iso-cts", [one, two], common_fraction=0.5)
    np.testing.assert_allclose(found, np.diag([5.375, 5.375, 5.375, -5.375]), atol=1e-13)


def sizes(shorter, fraction, tasks):
    """Return how many directions are common, and how many each task has."""
    own = min(round((shorter - int(fraction * shorter)) / tasks), shorter // tasks)
    return shorter - own * tasks, own


@pytest.mark.parametrize(
    ("shorter", "fraction", "tasks", "wanted"),
    [(20, 0.8, 2, (16, 2)), (20, 0.8, 8, (20, 0)), (768, 0.8, 8, (616, 19)), (3, 0.0, 2, (1, 1)), (4, 0.0, 4, (0, 1))],
)
def test_how_many_directions(shorter, fraction, tasks, wanted):
    assert sizes(shorter, fraction, tasks) == wanted


def reference(vectors, fraction, scale=1.0):
    if vectors[0].ndim != 2:
        return scale * sum(vectors) / len(vectors)
    shared, own = sizes(min(vectors[0].shape), fraction, len(vectors))
    parts = [svd(sum(vectors), shared)]
    common = parts[0][0]
    parts += [svd(vector - common @ common.T @ vector, own) for vector in vectors]
    lefts, values, rights = zip(*parts, strict=True)
    left, right = (procrustes(np.concatenate(part, axis=1)) for part in (lefts, rights))
    return scale * np.concatenate(values).mean() * left @ right.T


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.8, 1.0])
def test_against_the_reference(dtype, count, fraction):
    compare(
        "iso-cts",
        lambda vectors: reference(vectors, fraction, 0.9),
        dtype,
        count,
        base=True,
        roundings=10_000,
        common_fraction=fraction,
        scale=0.9,
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_common_fraction_of_one_is_iso_c(dtype):
    base, *models = random_states(4, dtype)
    found, wanted = merge_states("iso-cts", models, base, common_fraction=1.0), merge_states("iso-c", models, base)
    for name in base:
        close(found[name], wanted[name], dtype, 1000)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.8])
def test_of_one_task_it_is_iso_c(fraction):
    vector = np.random.default_rng(1).standard_normal((12, 9))
    found = merged_matrix("iso-cts", [vector], common_fraction=fraction)
    np.testing.assert_allclose(found, merged_matrix("iso-c", [vector]), atol=1e-13)


def test_the_spectrum_is_even():
    vectors = np.random.default_rng(2).standard_normal((2, 20, 30))
    values = np.linalg.svd(merged_matrix("iso-cts", vectors), compute_uv=False)
    np.testing.assert_allclose(values, np.full(20, values[0]), rtol=1e-12)


def test_copies_share_their_directions():
    # Common: the 4 strongest of twice the vector. Of its own, each task brings the next direction, and both the same.
    vector = np.random.default_rng(3).standard_normal((9, 6))
    left, values, right = svd(vector, 5)
    mean = (2 * values[:4].sum() + 2 * values[4]) / 6
    found = merged_matrix("iso-cts", [vector, vector], common_fraction=0.67)
    np.testing.assert_allclose(found, mean * left @ right.T, atol=1e-13)


def test_tasks_of_low_rank_bring_no_arbitrary_directions():
    generator = np.random.default_rng(4)
    one, two = of_rank(2, (20, 16), generator), of_rank(3, (20, 16), generator)
    found = merged_matrix("iso-cts", [one, two], common_fraction=0.75)
    values = np.linalg.svd(found, compute_uv=False)
    strengths = np.linalg.svd(one + two, compute_uv=False)[:5]
    np.testing.assert_allclose(values[:5], np.full(5, strengths.mean()), rtol=1e-12)
    np.testing.assert_allclose(values[5:], 0, atol=1e-12)


def test_tasks_that_cancel_give_the_base():
    vector = np.random.default_rng(5).standard_normal((10, 10))
    np.testing.assert_allclose(merged_matrix("iso-cts", [vector, -vector]), 0, atol=1e-13)


@pytest.mark.parametrize("shape", [(9, 1), (1, 6), (1, 1)])
def test_a_thin_matrix_is_summed(shape):
    one, two = np.random.default_rng(6).standard_normal((2, *shape))
    np.testing.assert_allclose(merged_matrix("iso-cts", [one, two]), one + two, atol=1e-14)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_tasks_does_not_matter(seed):
    base, *models = random_states(4, seed=seed)
    found, turned = (merge_states("iso-cts", order, base) for order in (models, models[::-1]))
    for name in base:
        torch.testing.assert_close(found[name], turned[name], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_scale_zero_is_the_base(dtype):
    base, *models = random_states(3, dtype)
    found = merge_states("iso-cts", models, base, scale=0.0)
    assert all(equal_bits(found[name], base[name]) for name in base)


def test_a_random_decomposition_is_near_the_exact_one():
    generator = np.random.default_rng(7)
    vectors = [of_rank(8, (160, 120), generator) for _ in range(2)]
    exact, near = (merged_matrix("iso-cts", vectors, common_fraction=0.8, svd=word) for word in ("exact", "randomized"))
    np.testing.assert_allclose(near, exact, atol=1e-9 * np.abs(exact).max())
    dense = generator.standard_normal((2, 160, 120))
    one, same, other = (merged_matrix("iso-cts", dense, svd="randomized", more={"seed": seed}) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_torch_gives_the_numbers_of_numpy(dtype, monkeypatch):
    base, *models = random_states(4, dtype)
    by_numpy = merge_states("iso-cts", models, base)
    monkeypatch.setattr(engine, "choose_backend", lambda *_: (lambda: TorchBackend("cpu"), 2**20))
    by_torch = merge_states("iso-cts", models, base)
    step = 2**-7 if dtype == torch.bfloat16 else 1e-9
    for name in base:
        np.testing.assert_allclose(numbers(by_torch[name]), numbers(by_numpy[name]), rtol=step, atol=step / 64)
