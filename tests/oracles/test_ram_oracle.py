"""RAM and RAM+: worked by hand, and against a reference in float64."""

from __future__ import annotations

import pytest
import torch
from in_memory import merge_states
from odd_shapes import DTYPES, assert_equals_reference

ONE, TWO = torch.tensor([1.0, 2, 0, 0, 3, 1]), torch.tensor([3.0, 0, 5, 0, -3, 0])


def ram(base, models, epsilon, r=0.0, alpha=0.2):
    vectors = [model - base for model in models]
    active = torch.stack([vector.abs() > epsilon for vector in vectors])
    count = active.sum(0)
    total = torch.zeros_like(base)
    for vector, mask in zip(vectors, active, strict=True):
        shared, unique = (mask & (count > 1)).sum().item(), (mask & (count == 1)).sum().item()
        ratio = shared / unique if unique else float("inf")
        total += torch.where(mask & (count == 1), vector * (1 + r * min(ratio, alpha)), 0.0)
        total += torch.where(mask & (count > 1), vector / count.clamp(min=1), 0.0)
    return base + total


def merged(*models, **options):
    base = {"w": torch.zeros_like(models[0])}
    return merge_states("ram", [{"w": model} for model in models], base, **options)["w"].tolist()


def test_by_hand():
    # Shared: entries 0 and 4, averaged. Unique: 1 and 5 of the first, 2 of the second, whole.
    assert merged(ONE, TWO) == [2, 2, 5, 0, 0, 1]


def test_what_is_unique_is_amplified():
    # rho is 2/2 for the first model and 2/1 for the second.
    assert merged(ONE, TWO, r=0.5, alpha=10.0) == pytest.approx([2, 3, 10, 0, 0, 1.5])
    assert merged(ONE, TWO, r=0.5, alpha=1.5) == pytest.approx([2, 3, 8.75, 0, 0, 1.5])
    assert merged(ONE, TWO, r=0.5, alpha=0.0) == [2, 2, 5, 0, 0, 1]


def test_what_differs_by_no_more_than_epsilon_is_no_change():
    assert merged(ONE, TWO, epsilon=2.0) == [3, 0, 5, 0, 0, 0]
    assert merged(torch.tensor([0.5]), torch.tensor([0.25]), epsilon=0.25) == [0.5]


def test_one_model_is_kept_whole_and_three_are_counted_per_entry():
    assert merged(ONE, r=0.5) == ONE.tolist()
    assert merged(ONE, TWO, torch.tensor([2.0, 4, 0, 0, 0, 0])) == [2, 3, 5, 0, 0, 1]


def test_a_model_that_shares_everything_has_nothing_to_amplify():
    assert merged(torch.tensor([1.0, 0]), torch.tensor([3.0, 4]), r=1.0, alpha=0.5) == [2, 6]


@pytest.mark.parametrize("r", [0.0, 0.3, -0.5])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_against_the_reference(dtype, r):
    def reference(base, models):
        return ram(base, models, 0.9, r, 0.4)

    assert_equals_reference("ram", reference, dtype, models=3, base=True, epsilon=0.9, r=r, alpha=0.4)
