"""Task arithmetic worked by hand."""

from __future__ import annotations

import pytest
import torch
from checkpoint_files import load, save
from in_memory import merge_states

BASE, ONE, TWO = torch.tensor([1.0, -2, 0.5, 3]), torch.tensor([2.0, -2, 0.0, 1]), torch.tensor([1.0, 2, 1.5, 4])


@pytest.mark.parametrize(
    ("weights", "scale", "wanted"),
    [
        (None, 1.0, [2.0, 2, 1, 2]),  # sum of (1, 0, -.5, -2) and (0, 4, 1, 1)
        (None, 0.5, [1.5, 0, 0.75, 2.5]),
        ([2.0, 1.0], 1.0, [3.0, 2, 0.5, 0]),
        ([-1.0, 0.5], 1.0, [0.0, 0, 1.5, 5.5]),  # the first is forgotten
        ([1.0, 1.0], 0.0, [1.0, -2, 0.5, 3]),
        ([1.0, 1.0], -1.0, [0.0, -6, 0, 4]),
    ],
)
def test_by_hand(weights, scale, wanted):
    found = merge_states("task-arithmetic", [{"w": ONE}, {"w": TWO}], {"w": BASE}, weights=weights, scale=scale)
    assert found["w"].tolist() == wanted


def test_by_hand_from_files(cli, tmp_path):
    paths = [save(tmp_path / f"{name}.st", {"w": value}) for name, value in (("base", BASE), ("a", ONE), ("b", TWO))]
    base, *models = paths
    flags = ("--base", base, "--weights", "-1,0.5", "-o", tmp_path / "out.st")
    result = cli("task-arithmetic", *models, *flags)
    assert result.code == 0, result.err
    assert load(tmp_path / "out.st")["w"].tolist() == [0.0, 0, 1.5, 5.5]


def test_underscore_and_dash_are_one_name(cli, tmp_path):
    base, one = (save(tmp_path / f"{name}.st", {"w": value}) for name, value in (("base", BASE), ("a", ONE)))
    for number, name in enumerate(("task-arithmetic", "task_arithmetic")):
        assert cli(name, one, "--base", base, "-o", tmp_path / f"{number}.st").code == 0
    assert (tmp_path / "0.st").read_bytes() == (tmp_path / "1.st").read_bytes()
