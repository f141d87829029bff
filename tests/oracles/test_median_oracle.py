"""The median worked by hand and against numpy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoint_files import equal_bits
from in_memory import merge_states
from random_models import DTYPES, compare, random_states

VALUES = [[1.0, -3, 0, 5], [4.0, -3, 2, 7], [2.0, 9, -1, 6], [1000.0, 1, 4, 6]]
MODELS = [{"w": torch.tensor(values)} for values in VALUES]


@pytest.mark.parametrize(("count", "wanted"), [(3, [2.0, -3, 0, 6]), (4, [3.0, -1, 1, 6])])
def test_by_hand(count, wanted):
    assert merge_states("median", MODELS[:count])["w"].tolist() == wanted


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("count", [3, 4, 5, 8])
def test_against_the_reference(dtype, count):
    compare("median", lambda arrays: np.median(np.stack(arrays), axis=0), dtype, count)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("count", [3, 4])
def test_any_order_gives_the_same_bits(dtype, count):
    models = random_states(count, dtype)
    found, turned = merge_states("median", models), merge_states("median", models[::-1])
    assert all(equal_bits(found[name], turned[name]) for name in found)


def test_one_broken_model_moves_nothing_far():
    models = random_states(3)
    broken = {name: tensor * 1e30 for name, tensor in models[0].items()}
    found = merge_states("median", [*models[1:], broken])
    for name, tensor in found.items():
        low, high = (function(models[1][name], models[2][name]) for function in (torch.minimum, torch.maximum))
        assert ((tensor >= low) & (tensor <= high)).all()
