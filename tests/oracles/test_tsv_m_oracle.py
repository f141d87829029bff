"""TSV-M worked by hand and against a reference in float64; low rank, equal tasks, thin matrices, seeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoint_files import equal_bits
from in_memory import merge_states, recipe_of, run_recipe
from random_models import DTYPES, close, compare, merged_matrix, numbers, of_rank, procrustes, random_states, svd

from merge import engine
from merge.engine import RunSettings
from merge.streaming.torch_backend import TorchBackend


def test_by_hand_of_tasks_that_do_not_meet():
    # Of each diagonal the two strongest of four entries stay; they are orthogonal already.
    one, two = np.diag([5.0, 0.5, 3, 0.25]), np.diag([0.125, -7.0, 0.5, 2])
    np.testing.assert_allclose(merged_matrix("tsv-m", [one, two]), np.diag([5.0, -7, 3, 2]), atol=1e-14)
    np.testing.assert_allclose(merged_matrix("tsv-m", [one, two], scale=0.5), np.diag([2.5, -3.5, 1.5, 1]), atol=1e-14)


def test_by_hand_of_directions_that_meet():
    # u1 = e1 and u2 at 60 degrees to it, on the right e1 and e2: the polar factor turns both left ones by 15 degrees
    # apart, to -15 and 75 degrees.
    angle = np.deg2rad([60, -15, 75])
    two, left, right = (np.array([np.cos(a), np.sin(a)]) for a in angle)
    e1, e2 = np.eye(2)
    wanted = 3 * np.outer(left, e1) + 2 * np.outer(right, e2)
    np.testing.assert_allclose(
        merged_matrix("tsv-m", [3 * np.outer(e1, e1), 2 * np.outer(two, e2)]), wanted, atol=1e-14
    )


def reference(vectors, scale=1.0):
    if vectors[0].ndim != 2:
        return scale * sum(vectors) / len(vectors)
    rank = max(1, min(vectors[0].shape) // len(vectors))
    lefts, values, rights = zip(*(svd(vector, rank) for vector in vectors), strict=True)
    left, right = (procrustes(np.concatenate(parts, axis=1)) for parts in (lefts, rights))
    return scale * left @ np.diag(np.concatenate(values)) @ right.T


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_against_the_reference(dtype, count):
    compare("tsv-m", lambda vectors: reference(vectors, 0.7), dtype, count, base=True, roundings=1000, scale=0.7)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_one_task_comes_back(dtype):
    base, tuned = random_states(2, dtype)
    found = merge_states("tsv-m", [tuned], base)
    for name in base:
        close(found[name], tuned[name], dtype, 1000)


def test_a_task_that_changes_nothing_disturbs_no_other():
    vector = np.random.default_rng(1).standard_normal((12, 7))
    left, values, right = svd(vector, 3)
    found = merged_matrix("tsv-m", [vector, 0 * vector])
    np.testing.assert_allclose(found, left * values @ right.T, atol=1e-13)


def test_tasks_of_low_rank_are_summed_where_they_are_orthogonal():
    basis = np.linalg.qr(np.random.default_rng(2).standard_normal((20, 8)))[0]
    one, two = (basis[:, part] @ basis[:, part].T for part in (slice(0, 3), slice(3, 8)))
    np.testing.assert_allclose(merged_matrix("tsv-m", [one, two]), one + two, atol=1e-13)


def test_copies_of_one_task_give_its_strongest_directions():
    vector = np.random.default_rng(3).standard_normal((12, 9))
    left, values, right = svd(vector, 3)
    np.testing.assert_allclose(merged_matrix("tsv-m", [vector] * 3), left * values @ right.T, atol=1e-13)


@pytest.mark.parametrize("shape", [(9, 1), (1, 6), (1, 1)])
def test_copies_of_a_thin_matrix_come_back(shape):
    vector = np.random.default_rng(4).standard_normal(shape)
    np.testing.assert_allclose(merged_matrix("tsv-m", [vector] * 4), vector, atol=1e-14)


def test_an_empty_matrix_stays_empty():
    models = [{"w": torch.zeros(4, 0), "v": torch.ones(3)}] * 2
    assert merge_states("tsv-m", models, {"w": torch.zeros(4, 0), "v": torch.zeros(3)})["w"].shape == (4, 0)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_tasks_does_not_matter(seed):
    base, *models = random_states(4, seed=seed)
    found, turned = (merge_states("tsv-m", order, base) for order in (models, models[::-1]))
    for name in base:
        torch.testing.assert_close(found[name], turned[name], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_scale_zero_is_the_base(dtype):
    base, *models = random_states(3, dtype)
    found = merge_states("tsv-m", models, base, scale=0.0)
    assert all(equal_bits(found[name], base[name]) for name in base)


def large(count, dtype=torch.float32):
    generator = np.random.default_rng(5)
    shapes = {"a": (160, 120), "b": (120, 160), "v": (70_001,)}
    return [
        {name: torch.from_numpy(generator.standard_normal(shape)).to(dtype) for name, shape in shapes.items()}
        for _ in range(count)
    ]


def test_a_random_decomposition_is_near_the_exact_one():
    generator = np.random.default_rng(6)
    vectors = [of_rank(15, (160, 120), generator) for _ in range(4)]
    exact, approximate = (merged_matrix("tsv-m", vectors, svd=word) for word in ("exact", "randomized"))
    np.testing.assert_allclose(approximate, exact, atol=1e-10 * np.abs(exact).max())


def test_seed_and_name_decide_the_random_decomposition():
    base, *models = large(5)
    models = [model | {"c": model["a"].clone()} for model in models]
    base = base | {"c": base["a"].clone()}
    first, same, other = (
        merge_states("tsv-m", models, base, svd="randomized", more={"seed": seed}) for seed in (1, 1, 2)
    )
    assert all(equal_bits(first[name], same[name]) for name in first)
    assert not equal_bits(first["a"], other["a"])
    assert not equal_bits(first["a"], first["c"])
    turned = merge_states("tsv-m", models[::-1], base, svd="randomized", more={"seed": 1})
    torch.testing.assert_close(first["a"], turned["a"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("word", ["exact", "randomized"])
def test_threads_and_chunks_change_no_byte(word):
    base, *models = large(4, torch.bfloat16)
    recipe = recipe_of("tsv-m", models, base, svd=word)
    settings = [RunSettings(threads=threads, chunk_elements=chunk) for threads, chunk in ((1, 65536), (3, 131072))]
    assert len({run_recipe(recipe, setting)[2].output_id for setting in settings}) == 1


@pytest.mark.parametrize("word", ["exact", "randomized"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_torch_gives_the_numbers_of_numpy(word, dtype, monkeypatch):
    base, *models = large(4, dtype)
    by_numpy = merge_states("tsv-m", models, base, svd=word)
    monkeypatch.setattr(engine, "choose_backend", lambda *_: (lambda: TorchBackend("cpu"), 2**20))
    by_torch = merge_states("tsv-m", models, base, svd=word)
    step = 2**-7 if dtype == torch.bfloat16 else 1e-9
    for name in base:
        np.testing.assert_allclose(numbers(by_torch[name]), numbers(by_numpy[name]), rtol=step, atol=step / 64)
