"""Multi-SLERP: worked directions, and a reference that takes the step in the tangent plane."""

from __future__ import annotations

import math

import pytest
import torch
from in_memory import merge_states
from odd_shapes import DTYPES, assert_equals_reference, random_models

from merge.errors import UsageError


def multislerp(tensors, weights, eps=1e-8):
    """The whole construction: mean direction, tangents at it, their weighted mean, back onto the sphere."""
    directions = [tensor / (tensor.norm() + eps) for tensor in tensors]
    mean = sum(weight * direction for weight, direction in zip(weights, directions, strict=True))
    mean = mean / mean.norm()
    step = sum(
        weight * (direction - (direction * mean).sum() * mean)
        for weight, direction in zip(weights, directions, strict=True)
    )
    angle = step.norm() + eps
    point = mean * angle.cos() + step * angle.sin() / angle
    return point * sum(weight * tensor.norm() for weight, tensor in zip(weights, tensors, strict=True))


def merged(tensors, base=None, **more):
    models = [{"w": torch.tensor(tensor, dtype=torch.float64)} for tensor in tensors]
    start = {"w": torch.tensor(base, dtype=torch.float64)} if base else None
    return merge_states("multislerp", models, start, **more)["w"].tolist()


def test_by_hand():
    half = math.sqrt(0.5)
    assert merged([[1.0, 0], [0.0, 3]]) == pytest.approx([2 * half, 2 * half])  # half way round, lengths 1 and 3
    assert merged([[1.0, 0], [0.0, 3]], weights=[1.0, 1.0], normalize_weights=False) == pytest.approx([4 * half] * 2)
    assert merged([[3.0, 2], [2.0, 5]], [2.0, 2]) == pytest.approx([2 + 2 * half, 2 + 2 * half])
    assert merged([[2.0, 0, 0], [0.0, 2, 0], [0.0, 0, 2]]) == pytest.approx([2 / math.sqrt(3)] * 3)


def test_directions_that_cancel_give_the_weighted_sum():
    assert merged([[1.0, 2], [-1.0, -2]]) == [0, 0]
    assert merged([[1.0, 2], [-3.0, -6]]) == [-1, -2]
    assert merged([[0.0, 0], [0.0, 0], [0.0, 0]]) == [0, 0]
    assert merged([[1.0], [-3.0]]) == [-1]


def test_a_zero_tensor_shortens_but_does_not_turn():
    assert merged([[4.0, 0], [0.0, 0]]) == pytest.approx([2, 0])


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("base", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_against_the_reference(dtype, base, normalize):
    weights = [0.5, 0.9, 0.8]
    used = [weight / sum(weights) for weight in weights] if normalize else weights

    def reference(start, models):
        return multislerp(models, used) if start is None else start + multislerp([m - start for m in models], used)

    more = {"weights": weights, "normalize_weights": normalize}
    assert_equals_reference("multislerp", reference, dtype, models=3, base=base, **more)


def test_weights_that_cannot_be_normalized_are_refused():
    models = random_models(2, torch.float32)
    with pytest.raises(UsageError, match="sum to 0"):
        merge_states("multislerp", models, weights=[1.0, -1.0])
    merge_states("multislerp", models, weights=[1.0, -1.0], normalize_weights=False)
