"""The trimmed mean worked by hand, against a reference, and what trim may be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoint_files import equal_bits
from in_memory import merge_states
from random_models import DTYPES, compare, random_states

from merge.errors import UsageError

VALUES = [[1.0, -3, 0], [4.0, -3, 2], [2.0, 9, -1], [1000.0, 1, 4], [3.0, 2, 3]]
MODELS = [{"w": torch.tensor(values, dtype=torch.float64)} for values in VALUES]


@pytest.mark.parametrize(
    ("trim", "wanted"),
    [
        (0.2, [3.0, 0, 5 / 3]),  # 2 3 4; -3 1 2; 0 2 3
        (0.4, [3.0, 1, 2]),
        (0.39, [3.0, 0, 5 / 3]),  # int(1.95) is 1
        (0.5, [3.0, 1, 2]),  # int(2.5) is 2: one of five is left
        (0.0, [202.0, 1.2, 1.6]),
        (0.19, [202.0, 1.2, 1.6]),
    ],
)
def test_by_hand(trim, wanted):
    assert merge_states("trimmed-mean", MODELS, trim=trim)["w"].tolist() == pytest.approx(wanted, rel=1e-15)


def trimmed(arrays, dropped):
    return np.sort(np.stack(arrays), axis=0)[dropped : len(arrays) - dropped].mean(axis=0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("count", "trim", "dropped"), [(3, 0.2, 0), (3, 0.34, 1), (5, 0.2, 1), (8, 0.25, 2)])
def test_against_the_reference(dtype, count, trim, dropped):
    compare("trimmed-mean", lambda arrays: trimmed(arrays, dropped), dtype, count, trim=trim)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_order_gives_the_same_bits(dtype):
    models = random_states(5, dtype)
    found, turned = (merge_states("trimmed-mean", order) for order in (models, models[::-1]))
    assert all(equal_bits(found[name], turned[name]) for name in found)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_all_but_one_or_two_dropped_is_the_median(dtype):
    for count, trim in ((3, 0.4), (4, 0.25)):
        models = random_states(count, dtype)
        found, wanted = merge_states("trimmed-mean", models, trim=trim), merge_states("median", models)
        for name in found:
            torch.testing.assert_close(found[name], wanted[name], rtol=torch.finfo(dtype).eps, atol=1e-7)


def test_dropping_everything_is_refused():
    with pytest.raises(UsageError, match="all of 4 models"):
        merge_states("trimmed-mean", MODELS[:4], trim=0.5)
