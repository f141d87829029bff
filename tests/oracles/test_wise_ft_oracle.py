"""WiSE-FT: the specification's numbers, a reference, and what alpha may be."""

from __future__ import annotations

import pytest
import torch
from checkpoint_files import equal_bits, load, save
from in_memory import merge_states
from random_models import DTYPES, compare, random_states

from merge.errors import UsageError

BASE, TUNED = torch.tensor([1.0, 2, 3, 4]), torch.tensor([5.0, -2, 0, 8])


@pytest.mark.parametrize(
    ("alpha", "wanted"),
    [
        (0.25, [2.0, 1, 2.25, 5]),
        (0.0, [1.0, 2, 3, 4]),
        (0.5, [3.0, 0, 1.5, 6]),
        (1.0, [5.0, -2, 0, 8]),
        (1.5, [7.0, -4, -1.5, 10]),
        (-0.5, [-1.0, 4, 4.5, 2]),
    ],
)
def test_by_hand(alpha, wanted):
    assert merge_states("wise-ft", [{"w": TUNED}], {"w": BASE}, alpha=alpha)["w"].tolist() == wanted


def test_by_hand_from_files(cli, tmp_path):
    base, tuned = (save(tmp_path / f"{name}.st", {"w": value}) for name, value in (("base", BASE), ("tuned", TUNED)))
    result = cli("wise-ft", tuned, "--base", base, "--alpha", "0.25", "-o", tmp_path / "out.st")
    assert result.code == 0, result.err
    assert load(tmp_path / "out.st")["w"].tolist() == [2.0, 1, 2.25, 5]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("alpha", [0.3, 1.0, 1.7, -0.4])
def test_against_the_reference(dtype, alpha):
    compare("wise-ft", lambda vectors: alpha * vectors[0], dtype, 1, base=True, alpha=alpha)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_alpha_zero_is_the_base(dtype):
    base, tuned = random_states(2, dtype)
    found = merge_states("wise-ft", [tuned], base, alpha=0.0)
    assert all(equal_bits(found[name], base[name]) for name in base)


def test_half_is_the_mean_of_both():
    base, tuned = random_states(2)
    found, mean = merge_states("wise-ft", [tuned], base), merge_states("soup", [base, tuned])
    for name in base:
        torch.testing.assert_close(found[name], mean[name], rtol=1e-14, atol=1e-15)


def test_two_tuned_models_are_refused():
    base, one, two = random_states(3)
    with pytest.raises(UsageError, match="exactly one"):
        merge_states("wise-ft", [one, two], base)
