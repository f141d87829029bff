"""PLeaS on handwritten digits: two networks of other classes, merged at several budgets."""

from __future__ import annotations

import json

import pytest
import torch
from checkpoint_files import load
from command_line import ROOT
from pleas_networks import HIGH, LOW, classes_of, digits_of, seeded, trained

from merge.cli import main

BUDGETS = ("0", "0.5", "1")


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """Networks for the digits 0 to 4 and 5 to 9, and what they are run on."""
    folder = tmp_path_factory.mktemp("halves")
    small = classes_of(folder)["Small"]
    digits_of(folder, "low", LOW, range(5))
    digits_of(folder, "high", HIGH, range(5, 10))
    for seed, name in enumerate(("low", "high")):
        trained(seeded(small, seed), folder, name, epochs=8)
    both = [str(folder / f"{name}-data.yaml") for name in ("low", "high")]
    given = [str(folder / "low.st"), str(folder / "high.st"), "--model", f"{folder / 'net.py'}:Small"]
    assert main(["pleas", *given, "--data", both[0], "--data", both[1], "-o", str(folder / "first.st"), "--quiet"]) == 0
    return folder


def rows(result):
    return {
        (row["benchmark"], row["model"].rpartition("/")[2]): row["value"]
        for row in result["results"]
        if row["metric"] == "accuracy"
    }


@pytest.mark.parametrize("allocation", ["even", "quantile", "solver"])
def test_accuracy_rises_with_the_budget_and_ends_at_the_members_own(cli, halves, tmp_path, allocation):
    report = tmp_path / "report"
    result = cli(
        *("pleas", halves / "low.st", halves / "high.st", "--heads", "apart", "--allocation", allocation),
        *("--joint", halves / "first.st.statistics" / "joint.safetensors", "--model", f"{halves / 'net.py'}:Small"),
        *("--sweep", "budget=0,0.5,1", "-o", tmp_path / "o.st", "--report", report),
        *("--report-benchmark", halves / "low.yaml", "--report-benchmark", halves / "high.yaml"),
    )
    assert result.code == 0, result.err
    document = json.loads((report / "results.json").read_text())
    found = rows(document)
    for name in ("low", "high"):
        first, middle, last = (found[name, f"o-budget-{budget}.st"] for budget in BUDGETS)
        assert first < last
        assert first <= middle + 0.02
        assert last == found[name, f"{name}.st"]
        assert last > 0.85
    assert [point["value"] for point in document["sweep"]["points"]] == [0, 0.5, 1]
    sizes = [point["parameters"] for point in document["sweep"]["points"]]
    assert sizes == sorted(set(sizes))
    assert "Sweep of budget" in (report / "report.md").read_text()
    assert "against parameters" in (report / "report.html").read_text()


def test_the_models_run_once_for_all_budgets(cli, halves, tmp_path):
    given = ("pleas", halves / "low.st", halves / "high.st", "--heads", "apart", "--stand-in", "--samples", "32")
    given += ("--model", f"{halves / 'net.py'}:Small")
    assert cli(*given, "-o", tmp_path / "o.st").code == 0
    again = cli(*given, "-o", tmp_path / "o.st", "--force", "--budget", "0.25")
    assert "the statistics are there already" in again.err + again.out
    kept = tmp_path / "o.st.statistics" / "joint.safetensors"
    other = cli(*given[:5], "--joint", kept, "-o", tmp_path / "p.st", "--budget", "0.25")
    assert other.code == 0, other.err
    one, two = load(tmp_path / "o.st"), load(tmp_path / "p.st")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert cli("verify", tmp_path / "p.st").code == 0


def test_what_was_used_is_recorded(cli, halves, tmp_path):
    given = ("pleas", halves / "low.st", halves / "high.st", "--model", f"{halves / 'net.py'}:Small", "--samples", "16")
    data = cli(*given, "--data", halves / "low-data.yaml", "-o", tmp_path / "data.st", "--report", tmp_path / "R")
    assert "on 16 items of low, without labels" in data.out + data.err
    text = (tmp_path / "R" / "report.md").read_text()
    assert "unlabeled" in text
    assert "solved by least squares" in text
    drawn = cli(*given, "--stand-in", "-o", tmp_path / "drawn.st", "--report", tmp_path / "S")
    assert "inputs drawn at random" in drawn.out + drawn.err
    assert "unlabeled" not in (tmp_path / "S" / "report.md").read_text()


def test_sweeps_of_other_methods_are_drawn_too(cli, halves, tmp_path):
    given = ("wise-ft", halves / "low.st", "--base", halves / "high.st", "--model", f"{halves / 'net.py'}:Small")
    given += ("--sweep", "alpha=0:1:0.5", "--report-benchmark", halves / "low.yaml", "--report", tmp_path / "R")
    result = cli(*given, "-o", tmp_path / "o.st")
    assert result.code == 0, result.err
    assert result.out.endswith(f"report: {tmp_path / 'R' / 'report.html'}\n")
    found = json.loads((tmp_path / "R" / "results.json").read_text())
    assert [point["value"] for point in found["sweep"]["points"]] == [0, 0.5, 1]
    assert found["sweep"]["references"] == []
    assert "against alpha" in (tmp_path / "R" / "report.html").read_text()


def test_a_killed_merge_is_resumed(cli, halves, tmp_path):
    joint = halves / "first.st.statistics" / "joint.safetensors"
    given = ("pleas", halves / "low.st", halves / "high.st", "--joint", joint, "--budget", "0.5")
    assert cli(*given, "-o", tmp_path / "whole.st").code == 0
    resumed = cli(*given, "-o", tmp_path / "again.st", "--resume")
    assert resumed.code == 0, resumed.err
    assert (tmp_path / "whole.st").read_bytes() == (tmp_path / "again.st").read_bytes()


def test_the_shipped_recipe_runs(cli, halves, tmp_path):
    for place, name in zip("ab", ("low", "high"), strict=True):
        (tmp_path / place).mkdir()
        (tmp_path / place / "model.safetensors").write_bytes((halves / f"{name}.st").read_bytes())
    (tmp_path / "low.npz").write_bytes((halves / "low.npz").read_bytes())
    (tmp_path / "train.yaml").write_bytes((halves / "low-data.yaml").read_bytes())
    recipe = tmp_path / "pleas.yaml"
    recipe.write_text((ROOT / "recipes" / "pleas.yaml").read_text())
    result = cli("run", recipe, "--model", f"{halves / 'net.py'}:Small")
    assert result.code == 0, result.err
    names = {path.name for path in (tmp_path / "pleas").iterdir()}
    assert {"model.safetensors", "load.py", "resized_layers.py", "network_net.py"} <= names
    assert cli("verify", tmp_path / "pleas").code == 0
