"""NuSLERP: worked angles, and a reference in float64 for the three kinds of angle."""

from __future__ import annotations

import math

import pytest
import torch
from in_memory import merge_states
from odd_shapes import DTYPES, assert_equals_reference, random_models

from merge.errors import UsageError

KINDS = [{}, {"flatten": False}, {"flatten": False, "row_wise": True}]


def nuslerp(first, second, t, axis):
    """The arc between vectors along an axis; None for whole tensors."""
    shape = first.shape
    if axis is None or first.ndim == 0:
        first, second, axis = first.reshape(-1), second.reshape(-1), 0
    cos = (first * second).sum(axis, keepdim=True)
    cos = (cos / (first.norm(dim=axis, keepdim=True) * second.norm(dim=axis, keepdim=True))).clamp(-1, 1)
    angle = cos.acos()
    on_one_line = 1 - cos**2 <= 1e-16
    left = torch.where(on_one_line, 1 - t, ((1 - t) * angle).sin() / angle.sin())
    right = torch.where(on_one_line, t, (t * angle).sin() / angle.sin())
    return (left * first + right * second).reshape(shape)


def merged(one, two, weights=(1.0, 1.0), base=None, **options):
    found = merge_states(
        "nuslerp", [{"w": torch.tensor(one)}, {"w": torch.tensor(two)}], base and {"w": torch.tensor(base)},
        weights=list(weights), **options,
    )  # fmt: skip
    return found["w"].tolist()


def test_a_right_angle_by_hand():
    half = math.sqrt(0.5)
    assert merged([1.0, 0], [0.0, 1]) == pytest.approx([half, half])
    third = [math.cos(math.pi / 6), math.sin(math.pi / 6)]  # a third of the way
    assert merged([2.0, 0], [0.0, 4], (2.0, 1.0)) == pytest.approx([2 * third[0], 4 * third[1]])
    assert merged([3.0, 2], [2.0, 3], (2.0, 1.0), [2.0, 2]) == pytest.approx([2 + third[0], 2 + third[1]])


def test_only_the_ratio_of_the_weights_counts():
    assert merged([1.0, 0], [0.5, 1], (1.0, 3.0)) == pytest.approx(merged([1.0, 0], [0.5, 1], (-2.0, -6.0)))


@pytest.mark.parametrize(("two", "wanted"), [([2.0, 0], [1.25, 0]), ([-2.0, 0], [0.25, 0]), ([0.0, 0], [0.75, 0])])
def test_on_one_line_the_straight_line_is_taken(two, wanted):
    assert merged([1.0, 0], two, (3.0, 1.0)) == wanted
    assert merged([1.0, 0], two, (3.0, 1.0), flatten=False) == wanted


def test_rows_and_columns_by_hand():
    one, two = [[1.0, 0], [0.0, 3]], [[0.0, 1], [0.0, 1]]
    half = math.sqrt(0.5)
    assert merged(one, two, flatten=False) == [pytest.approx([half, half]), pytest.approx([0, 2])]
    # Columns: (1, 0) and (0, 0), where one is 0: straight. (0, 3) and (1, 1): an angle of 45 degrees.
    factor = math.sin(math.pi / 8) / math.sin(math.pi / 4)
    wanted = [pytest.approx([0.5, factor]), pytest.approx([0, 4 * factor])]
    assert merged(one, two, flatten=False, row_wise=True) == wanted


@pytest.mark.parametrize("base", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("kind", "axis"), list(zip(KINDS, (None, -1, 0), strict=True)))
def test_against_the_reference(kind, axis, dtype, base):
    def reference(start, models):
        if start is None:
            return nuslerp(*models, 0.7, axis)
        return start + nuslerp(models[0] - start, models[1] - start, 0.7, axis)

    # Almost opposite vectors, of which short axes have many, amplify the rounding of the accumulator.
    dtype = torch.float64 if axis is not None and dtype.itemsize == 2 else dtype
    assert_equals_reference("nuslerp", reference, dtype, models=2, base=base, weights=[0.6, 1.4], **kind)


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_rows_that_are_not_opposite(kind):
    one, two = random_models(2, torch.bfloat16)
    two = {name: one[name] + tensor / 8 for name, tensor in two.items()}
    found = merge_states("nuslerp", [one, two], weights=[1.0, 3.0], **kind)
    axis = (0 if "row_wise" in kind else -1) if kind else None
    for name, tensor in found.items():
        wanted = nuslerp(one[name].double(), two[name].double(), 0.75, axis)
        torch.testing.assert_close(tensor.double(), wanted, rtol=2**-8, atol=1e-5)


def test_requests_that_mean_nothing_are_refused():
    models = random_models(2, torch.float32)
    with pytest.raises(UsageError, match="sum to 0"):
        merge_states("nuslerp", models, weights=[1.0, -1.0])
    with pytest.raises(UsageError, match="flattened"):
        merge_states("nuslerp", models, row_wise=True)
    with pytest.raises(UsageError, match="merges"):
        merge_states("nuslerp", [*models, models[0]])
