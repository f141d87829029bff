"""Model Stock: worked angles, and a reference in float64, by tensors and by rows."""

from __future__ import annotations

import itertools

import pytest
import torch
from in_memory import merge_states
from odd_shapes import DTYPES, assert_equals_reference, random_models

from merge.errors import UsageError


def stock(base, models, *, rows):
    """The merge, with the ratio t and the average of the models written out."""
    count = len(models)
    flat = [(model - base).reshape(-1) if not rows or base.ndim == 0 else model - base for model in models]
    pairs = list(itertools.combinations(flat, 2))
    cos = sum(
        (one * two).sum(-1, keepdim=True) / (one.norm(dim=-1, keepdim=True) * two.norm(dim=-1, keepdim=True))
        for one, two in pairs
    ) / len(pairs)
    divisor = 1 + (count - 1) * cos
    ratio = torch.where(divisor.abs() >= 1e-6, count * cos / divisor, 0.0)
    ratio = ratio.reshape(()) if ratio.numel() == 1 else ratio
    return ratio * sum(models) / count + (1 - ratio) * base


def merged(*task_vectors, **options):
    base = {"w": torch.ones(2, dtype=torch.float64)}
    models = [{"w": 1 + torch.tensor(vector, dtype=torch.float64)} for vector in task_vectors]
    return (merge_states("model-stock", models, base, **options)["w"] - 1).tolist()


def test_by_hand():
    assert merged([1.0, 0], [0.0, 1]) == [0, 0]  # at a right angle: the base
    assert merged([1.0, 0], [3.0, 0]) == pytest.approx([2, 0])  # in one direction: the average
    # 60 degrees: t = 2 * .5 / 1.5 = 2/3 of the average.
    assert merged([2.0, 0], [1.0, 3**0.5]) == pytest.approx([1, 3**0.5 / 3])
    # 120 degrees: t = 2 * -.5 / .5 = -2.
    assert merged([2.0, 0], [-1.0, 3**0.5]) == pytest.approx([-1, -(3**0.5)])
    # Three, with cosines 1, 0, 0: t = 3 * 1/3 / (1 + 2/3) = .6 of the average (2/3, 1/3).
    assert merged([1.0, 0], [1.0, 0], [0.0, 1]) == pytest.approx([0.4, 0.2])


def test_task_vectors_that_are_opposite_or_zero_give_the_base():
    assert merged([1.0, 2], [-1.0, -2]) == [0, 0]
    assert merged([1.0, 2], [0.0, 0]) == [0, 0]
    assert merged([0.0, 0], [0.0, 0], [0.0, 0]) == [0, 0]
    assert merged([0.0, 0], [1.0, 0], filter_wise=True) == [0, 0]


def test_small_task_vectors_have_angles_too():
    assert merged([1e-7, 0], [3e-7, 0]) == pytest.approx([2e-7, 0])


def test_rows_by_hand():
    base, one, two = torch.zeros(2, 2), torch.tensor([[1.0, 0], [2, 0]]), torch.tensor([[0.0, 1], [4, 0]])
    found = merge_states("model-stock", [{"w": one}, {"w": two}], {"w": base}, filter_wise=True)["w"]
    assert found.tolist() == [[0, 0], [3, 0]]


@pytest.mark.parametrize("models", [2, 3, 5])
@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_against_the_reference(dtype, rows, models):
    # Short rows have divisors near 0, which amplify the rounding of the accumulator.
    dtype = torch.float64 if rows and dtype.itemsize == 2 else dtype

    def reference(base, found):
        return stock(base, found, rows=rows)

    assert_equals_reference("model-stock", reference, dtype, models=models, base=True, filter_wise=rows)


def test_bfloat16_rows_of_models_that_agree():
    base, one, two = random_models(3, torch.bfloat16)
    two = {name: one[name] + (tensor / 8) for name, tensor in two.items()}
    found = merge_states("model-stock", [one, two], base, filter_wise=True)
    for name in ("matrix", "vector"):
        wanted = stock(base[name].double(), [one[name].double(), two[name].double()], rows=True)
        torch.testing.assert_close(found[name].double(), wanted, rtol=2**-8, atol=1e-5)


def test_one_model_is_refused():
    base, one = random_models(2, torch.float32)
    with pytest.raises(UsageError, match="merges"):
        merge_states("model-stock", [one], base)
