"""One output per value of an option, and all of them in one evaluation."""

from __future__ import annotations

from decimal import Decimal

import pytest
import torch
from checkpoint_files import load, save

from merge.commands.sweep import read_sweep
from merge.errors import UsageError
from merge.registry import find_method


@pytest.fixture
def pair(tmp_path):
    save(tmp_path / "base.st", {"w": torch.zeros(4)})
    save(tmp_path / "tuned.st", {"w": torch.tensor([1.0, 2.0, 3.0, 4.0])})
    return tmp_path / "tuned.st", "--base", tmp_path / "base.st"


def test_a_curve_of_outputs(cli, pair, tmp_path):
    result = cli("wise-ft", *pair, "--sweep", "alpha=0:1:0.25", "-o", tmp_path / "curve.st")
    assert result.code == 0, result.err
    found = {path.name: load(path)["w"][0].item() for path in tmp_path.glob("curve*.st")}
    assert found == {f"curve-alpha-{text}.st": float(text) for text in ("0.00", "0.25", "0.50", "0.75", "1.00")}


def test_nothing_is_merged_when_one_output_is_in_the_way(cli, pair, tmp_path):
    (tmp_path / "curve-alpha-0.5.st").write_text("mine")
    result = cli("wise-ft", *pair, "--sweep", "alpha=0.1,0.5", "-o", tmp_path / "curve.st")
    assert result.code != 0
    assert "curve-alpha-0.5.st" in result.err
    assert [path.name for path in tmp_path.glob("curve*")] == ["curve-alpha-0.5.st"]


def test_folders(cli, pair, tmp_path):
    assert cli("wise-ft", *pair, "--sweep", "alpha=0.5,2", "-o", tmp_path / "out").code == 0
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out-alpha-0.5", "out-alpha-2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alpa=0:1:0.1", "did you mean 'alpha'"),
        ("alpha", "is no sweep"),
        ("alpha=0:1", "is no sweep"),
        ("alpha=a,b", "is no sweep"),
        ("alpha=1:0:0.1", "must give 1 to"),
        ("alpha=0:1:0", "must give 1 to"),
        ("alpha=0.5,0.5", "different"),
        ("alpha=0:1e9:1", "must give 1 to"),
    ],
)
def test_refusals(cli, pair, tmp_path, text, message):
    result = cli("wise-ft", *pair, "--sweep", text, "-o", tmp_path / "curve.st")
    assert (result.code, list(tmp_path.glob("curve*"))) == (2, [])
    assert message in result.err


def test_values_out_of_range_and_words():
    with pytest.raises(UsageError, match="t must be"):
        read_sweep("t=0:2:0.5", find_method("slerp"))
    with pytest.raises(UsageError, match="'trim_scope' is none"):
        read_sweep("trim_scope=1,2", find_method("ties"))
    assert read_sweep("density=0.1:0.3:0.1", find_method("ties")) == ("density", [Decimal(f"0.{n}") for n in (1, 2, 3)])


def test_json_is_refused(cli, pair, tmp_path):
    result = cli("wise-ft", *pair, "--sweep", "alpha=0,1", "--json", "-o", tmp_path / "curve.st")
    assert result.code == 2
    assert "--json" in result.err
