"""Consensus merging worked by hand and against a reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoint_files import equal_bits
from in_memory import merge_states
from random_models import DTYPES, compare, random_states

from merge.errors import UsageError

# Sums 6, 6, -1, 0, 2. What the others add, per model: one 2 5 -4 2 2; two 5 1 2 0 1; three 5 6 0 -2 1.
VECTORS = [[4.0, 1, 3, -2, 0], [1.0, 5, -3, 0, 1], [1.0, 0, -1, 2, 1]]
ZERO = {"w": torch.zeros(5)}
MODELS = [{"w": torch.tensor(vector)} for vector in VECTORS]


@pytest.mark.parametrize(
    ("selectivity", "threshold", "wanted"),
    [
        # Masks at 1: one 4 >= 2, 1 < 5, 3 < 4, 2 >= 2, 0 < 2; two 0 1 1 1 1; three 0 0 1 1 1. Votes 1 1 2 3 2.
        (1.0, 2, [0.0, 0, -1, 0, 2]),
        (1.0, 1, [6.0, 6, -1, 0, 2]),
        (1.0, 3, [0.0, 0, 0, 0, 0]),
        (1.0, 0, [6.0, 6, -1, 0, 2]),
        # At 0.2: one 4 >= .4, 1 >= 1, 3 >= .8, 1, 0 < .4; two 1 >= 1, 1, 1, 0 >= 0, 1; three 1 >= 1, 0 < 1.2, 1, 1, 1.
        (0.2, 3, [6.0, 0, -1, 0, 0]),
        (0.2, 2, [6.0, 6, -1, 0, 2]),
        (0.0, 3, [6.0, 6, -1, 0, 2]),
    ],
)
def test_by_hand(selectivity, threshold, wanted):
    found = merge_states("consensus", MODELS, ZERO, selectivity=selectivity, threshold=threshold)
    assert found["w"].tolist() == wanted


def test_by_hand_with_one_selectivity_per_model_and_scale():
    # One at 0.2: 1 1 1 1 0. Two at 1: 0 1 1 1 1. Three at 5: 1 < 25, 0, 1 >= 0, 2 < 10, 1 < 5. Votes 1 2 3 2 1.
    beside = {"selectivity": [0.2, 1.0, 5.0]}
    assert merge_states("consensus", MODELS, ZERO, per_model=beside, scale=0.5)["w"].tolist() == [0, 3, -0.5, 0, 0]


def test_by_hand_with_weights():
    # The sum is 2 * one - two: 7, -3, 9, -4, -1; the task vectors in the masks stay as they are.
    # one: 4 >= 3, 1 < 4, 3 < 6, 2 >= 2, 0 < 1; two: 1 < 6, 5 < 8, 3 < 12, 0 < 4, 1 < 2.
    found = merge_states("consensus", MODELS[:2], ZERO, weights=[2.0, -1.0], selectivity=1.0, threshold=1)
    assert found["w"].tolist() == [7, 0, 0, -4, 0]


def reference(vectors, weights, selectivities, threshold, scale):
    total = sum(weight * vector for weight, vector in zip(weights, vectors, strict=True))
    pairs = zip(vectors, selectivities, strict=True)
    votes = sum((np.abs(vector) >= level * np.abs(total - vector)).astype(int) for vector, level in pairs)
    return scale * total * (votes >= threshold)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("threshold", [0, 1, 2, 4])
def test_against_the_reference(dtype, threshold):
    weights, levels = [1.0, 0.5, 2.0, -0.75], [0.25, 0.6, 0.4, 1.3]
    compare(
        "consensus",
        lambda vectors: reference(vectors, weights, levels, threshold, 0.8),
        dtype,
        4,
        base=True,
        per_model={"weight": weights, "selectivity": levels},
        threshold=threshold,
        scale=0.8,
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_threshold_zero_is_task_arithmetic(dtype):
    base, *models = random_states(4, dtype)
    found = merge_states("consensus", models, base, threshold=0, scale=0.5)
    wanted = merge_states("task-arithmetic", models, base, scale=0.5)
    for name in base:
        torch.testing.assert_close(found[name], wanted[name], rtol=2 * torch.finfo(dtype).eps, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_scale_zero_is_the_base(dtype):
    base, *models = random_states(4, dtype)
    found = merge_states("consensus", models, base, scale=0.0)
    assert all(equal_bits(found[name], base[name]) for name in base)


def test_a_threshold_beyond_the_models_is_refused():
    with pytest.raises(UsageError, match="nothing would be kept"):
        merge_states("consensus", MODELS, ZERO, threshold=4)
