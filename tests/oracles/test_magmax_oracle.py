"""MagMax worked by hand, equal magnitudes included, and against a reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoint_files import equal_bits
from in_memory import merge_states
from random_models import DTYPES, compare, random_states

ONE, TWO, THREE = torch.tensor([5.0, -1, 0, 2]), torch.tensor([-6.0, 1, 0, 2.5]), torch.tensor([6.0, 0, 0, -2.25])


@pytest.mark.parametrize(
    ("order", "scale", "wanted"),
    [
        ((ONE, TWO, THREE), 1.0, [-6.0, -1, 0, 2.5]),  # of -6 and 6 the first, of -1 and 1 the first
        ((THREE, TWO, ONE), 1.0, [6.0, 1, 0, 2.5]),
        ((ONE, TWO, THREE), 0.5, [-3.0, -0.5, 0, 1.25]),
        ((ONE, TWO, THREE), 0.0, [0.0, 0, 0, 0]),
        ((ONE,), 1.0, [5.0, -1, 0, 2]),
    ],
)
def test_by_hand(order, scale, wanted):
    base = torch.tensor([1.0, 2, 3, 4])
    found = merge_states("magmax", [{"w": base + vector} for vector in order], {"w": base}, scale=scale)
    assert (found["w"] - base).tolist() == wanted


def test_the_default_scale_is_a_half():
    assert merge_states("magmax", [{"w": ONE}], {"w": torch.zeros(4)})["w"].tolist() == [2.5, -0.5, 0, 1]


def largest(vectors):
    stacked = np.stack(vectors)
    return np.take_along_axis(stacked, np.abs(stacked).argmax(axis=0)[None], axis=0)[0]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_against_the_reference(dtype, count):
    compare("magmax", lambda vectors: 0.7 * largest(vectors), dtype, count, base=True, scale=0.7)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_scale_zero_is_the_base(dtype):
    base, *models = random_states(4, dtype)
    found = merge_states("magmax", models, base, scale=0.0)
    assert all(equal_bits(found[name], base[name]) for name in base)
