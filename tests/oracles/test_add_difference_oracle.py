"""Add difference worked by hand and against a reference."""

from __future__ import annotations

import pytest
import torch
from checkpoint_files import equal_bits
from in_memory import merge_states
from random_models import DTYPES, compare, random_states

from merge.errors import UsageError

A, B, C = ({"w": torch.tensor(values)} for values in ([1.0, 2, 3], [5.0, 0, -1], [4.0, 1, 1]))


@pytest.mark.parametrize(
    ("multiplier", "wanted"),
    [(1.0, [2.0, 1, 1]), (0.5, [1.5, 1.5, 2]), (2.0, [3.0, 0, -1]), (-1.0, [0.0, 3, 5]), (0.0, [1.0, 2, 3])],
)
def test_by_hand(multiplier, wanted):
    assert merge_states("add-difference", [A, B, C], multiplier=multiplier)["w"].tolist() == wanted


def test_the_order_matters():
    assert merge_states("add-difference", [B, C, A])["w"].tolist() == [8, -1, -3]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("multiplier", [1.0, 0.35, -1.2])
def test_against_the_reference(dtype, multiplier):
    compare(
        "add-difference", lambda arrays: arrays[0] + multiplier * (arrays[1] - arrays[2]), dtype, multiplier=multiplier
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_no_difference_and_no_multiplier_give_the_first(dtype):
    one, two, three = random_states(3, dtype)
    for found in (
        merge_states("add-difference", [one, two, two]),
        merge_states("add-difference", [one, two, three], multiplier=0.0),
    ):
        for name in one:
            torch.testing.assert_close(found[name], one[name], rtol=0, atol=1e-15 if dtype == torch.float64 else 0)


def test_from_its_own_base_it_is_task_arithmetic():
    """With A as C's equal, A + m (B - C) is the base plus a scaled task vector."""
    one, two = random_states(2, torch.bfloat16)
    found = merge_states("add-difference", [one, two, one], multiplier=0.5)
    wanted = merge_states("task-arithmetic", [two], one, scale=0.5)
    for name in one:
        torch.testing.assert_close(found[name], wanted[name], rtol=2**-8, atol=1e-6)


@pytest.mark.parametrize("count", [2, 4])
def test_three_models_are_needed(count):
    with pytest.raises(UsageError, match="exactly 3"):
        merge_states("add-difference", [A, B, C, A][:count])


def test_a_tensor_that_one_of_them_lacks_is_refused():
    more = {"v": torch.ones(2)}
    with pytest.raises(UsageError, match="in all models"):
        merge_states("add-difference", [A | more, B | more, C], more={"missing": "average-present"})


def test_bits_of_the_first_where_the_others_agree():
    one, two = random_states(2, torch.bfloat16)
    found = merge_states("add-difference", [one, two, two], multiplier=0.0)
    assert all(equal_bits(found[name], one[name]) for name in one)
