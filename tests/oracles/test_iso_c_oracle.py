"""Iso-C worked by hand and against a reference in float64; low rank and thin matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoint_files import equal_bits
from in_memory import merge_states
from random_models import DTYPES, compare, merged_matrix, numbers, of_rank, random_states, svd

from merge import engine
from merge.streaming.torch_backend import TorchBackend


def test_by_hand():
    # The sum is diag(4, -1, 1), its singular values 4, 1 and 1: all become 2.
    one, two = np.diag([3.0, -3, 1]), np.diag([1.0, 2, 0])
    np.testing.assert_allclose(merged_matrix("iso-c", [one, two]), np.diag([2.0, -2, 2]), atol=1e-14)
    np.testing.assert_allclose(merged_matrix("iso-c", [one, two], scale=1.5), np.diag([3.0, -3, 3]), atol=1e-14)


def test_by_hand_of_vectors_and_scalars():
    models = [
        {"v": torch.tensor([1.0, 2]), "s": torch.tensor(4.0)},
        {"v": torch.tensor([3.0, -4]), "s": torch.tensor(0.0)},
    ]
    base = {"v": torch.zeros(2), "s": torch.tensor(1.0)}
    found = merge_states("iso-c", models, base)
    assert (found["v"].tolist(), found["s"].item()) == ([2, -1], 2)  # means, not sums


def reference(vectors, scale=1.0):
    if vectors[0].ndim != 2:
        return scale * sum(vectors) / len(vectors)
    left, values, right = svd(sum(vectors), min(vectors[0].shape))
    return scale * left @ np.diag(np.full(len(values), values.mean())) @ right.T


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_against_the_reference(dtype, count):
    compare("iso-c", lambda vectors: reference(vectors, 1.3), dtype, count, base=True, roundings=1000, scale=1.3)


def test_the_spectrum_is_even_and_its_sum_kept():
    vectors = np.random.default_rng(1).standard_normal((3, 12, 7))
    found = np.linalg.svd(merged_matrix("iso-c", vectors), compute_uv=False)
    before = np.linalg.svd(vectors.sum(axis=0), compute_uv=False)
    np.testing.assert_allclose(found, np.full(7, before.mean()), rtol=1e-13)


def test_directions_that_are_not_there_stay_at_zero():
    vector = of_rank(3, (20, 15), np.random.default_rng(2))
    left, values, right = svd(vector, 3)
    np.testing.assert_allclose(merged_matrix("iso-c", [vector]), values.mean() * left @ right.T, atol=1e-13)


def test_tasks_that_cancel_give_the_base():
    vector = np.random.default_rng(3).standard_normal((6, 5))
    assert not merged_matrix("iso-c", [vector, -vector]).any()


@pytest.mark.parametrize("shape", [(9, 1), (1, 6), (1, 1)])
def test_a_thin_matrix_is_summed(shape):
    one, two = np.random.default_rng(4).standard_normal((2, *shape))
    np.testing.assert_allclose(merged_matrix("iso-c", [one, two]), one + two, atol=1e-14)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_tasks_does_not_matter(seed):
    base, *models = random_states(4, seed=seed)
    found, turned = (merge_states("iso-c", order, base) for order in (models, models[::-1]))
    for name in base:
        torch.testing.assert_close(found[name], turned[name], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_scale_zero_is_the_base(dtype):
    base, *models = random_states(3, dtype)
    found = merge_states("iso-c", models, base, scale=0.0)
    assert all(equal_bits(found[name], base[name]) for name in base)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_torch_gives_the_numbers_of_numpy(dtype, monkeypatch):
    base, *models = random_states(4, dtype)
    by_numpy = merge_states("iso-c", models, base)
    monkeypatch.setattr(engine, "choose_backend", lambda *_: (lambda: TorchBackend("cpu"), 2**20))
    by_torch = merge_states("iso-c", models, base)
    step = 2**-7 if dtype == torch.bfloat16 else 1e-9
    for name in base:
        np.testing.assert_allclose(numbers(by_torch[name]), numbers(by_numpy[name]), rtol=step, atol=step / 64)
