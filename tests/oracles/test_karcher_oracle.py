"""The Karcher mean: worked directions, a reference over whole tensors, and that it is where the arcs cancel."""

from __future__ import annotations

import math

import pytest
import torch
from in_memory import merge_states
from odd_shapes import DTYPES, assert_equals_reference


def karcher(tensors, steps=10, tolerance=1e-5):
    lengths = [tensor.norm() for tensor in tensors]
    directions = [tensor / own for tensor, own in zip(tensors, lengths, strict=True)]
    mean = sum(directions)
    mean = mean / mean.norm() if mean.norm() > 1e-7 else directions[0]
    for _ in range(steps):
        step = mean_arc(mean, directions)
        if step.norm() < tolerance:
            break
        mean = step.norm().cos() * mean + step.norm().sin() * step / step.norm()
        mean = mean / mean.norm()
    return mean * sum(lengths) / len(lengths)


def mean_arc(point, directions):
    arcs = []
    for direction in directions:
        cos = (point * direction).sum().clamp(-1, 1)
        across = direction - cos * point
        sine = (1 - cos**2).sqrt()
        arcs.append(across * (cos.acos() / sine if sine > 1e-7 else 1.0))
    return sum(arcs) / len(arcs)


def merged(*tensors, **options):
    models = [{"w": torch.tensor(tensor, dtype=torch.float64)} for tensor in tensors]
    return merge_states("karcher", models, **options)["w"].tolist()


def test_by_hand():
    assert merged([1.0, 0], [2.0, 0]) == [1.5, 0]
    assert merged([1.0, 0], [0.0, 3]) == pytest.approx([2 * math.sqrt(0.5)] * 2)
    # On a circle it is the mean of the angles, 0, 30 and 90 degrees, which no sum of directions gives.
    angles = [0, math.pi / 6, math.pi / 2]
    found = merged(*([math.cos(angle), math.sin(angle)] for angle in angles), max_iter=100, tol=0.0)
    mean = sum(angles) / 3
    assert found == pytest.approx([math.cos(mean), math.sin(mean)], abs=1e-9)


def test_opposite_directions_stay_with_the_first():
    assert merged([1.0, 0], [-2.0, 0]) == pytest.approx([1.5, 0])
    assert merged([-2.0, 0], [1.0, 0]) == pytest.approx([-1.5, 0])


def test_a_zero_tensor_shortens_but_does_not_turn():
    assert merged([1.0, 0], [0.0, 1], [0.0, 0]) == pytest.approx([2 / 3 * math.sqrt(0.5)] * 2)
    assert merged([3.0], [0.0], [0.0]) == pytest.approx([1.0])
    assert merged([0.0, 0], [0.0, 0]) == [0, 0]


def test_no_step_gives_the_direction_of_the_sum():
    found = merged([1.0, 0], [1.0, 0], [0.0, 1], max_iter=0)
    assert found == pytest.approx([2 / math.sqrt(5), 1 / math.sqrt(5)])


@pytest.mark.parametrize("options", [{}, {"max_iter": 1}, {"max_iter": 40, "tol": 1e-9}, {"tol": 0.3}])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_against_the_reference(dtype, options):
    steps, tolerance = options.get("max_iter", 10), options.get("tol", 1e-5)

    def reference(_, models):
        return karcher(models, steps, tolerance)

    assert_equals_reference("karcher", reference, dtype, models=4, base=False, **options)


def test_at_the_mean_the_arcs_cancel():
    generator = torch.Generator().manual_seed(7)
    models = [torch.randn(6, 5, generator=generator, dtype=torch.float64) for _ in range(4)]
    found = merge_states("karcher", [{"w": model} for model in models], max_iter=200, tol=1e-13)["w"]
    directions = [model / model.norm() for model in models]
    assert mean_arc(found / found.norm(), directions).norm() < 1e-7
