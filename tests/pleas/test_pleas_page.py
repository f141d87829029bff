"""Every command of docs/pleas.md, in its order, on the bundled digits."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkpoint_files import load
from documentation.blocks import Block, blocks
from documentation.play import Cli, play
from pleas_networks import HIGH, LOW, digits_of, seeded, trained

(NETWORK,) = (block.text for block in blocks("pleas.md") if block.language == "python")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, found = tmp_path_factory.mktemp("page"), {}
    (folder / "network.py").write_text(NETWORK)
    exec(compile(NETWORK, "network.py", "exec"), found)
    for seed, (name, classes) in enumerate({"low": LOW, "high": HIGH}.items()):
        digits_of(folder, name, classes, classes)
        trained(seeded(found["Network"], seed), folder, name, epochs=3)
    digits_of(folder, "train", range(10))
    (folder / "train-data.yaml").rename(folder / "train.yaml")
    return folder


def with_our_keys(block: Block, cli: Cli) -> None:
    """The page's benchmark, over arrays that have other names here."""
    Path("high.yaml").write_text(block.text.replace("{path: high.npz}", "{path: high.npz, images: x, labels: y}"))


def test_every_command_runs(folder, cli, monkeypatch):
    monkeypatch.chdir(folder)
    play("pleas.md", cli, "network.py", with_our_keys, "recipe.yaml")
    assert load(folder / "both.st")["5.weight"].shape == (10, 96)
    assert load(folder / "both.st")["3.weight"].shape == (96, 96)
    assert len(list(folder.glob("curve-budget-*.st"))) == 5
    assert "Sweep of budget" in (folder / "report" / "report.md").read_text()


def test_a_fresh_recipe_can_be_read(tmp_path, cli):
    written = cli("new", "pleas")
    assert written.code == 0
    (tmp_path / "fresh.yaml").write_text(written.out)
    refused = cli("run", tmp_path / "fresh.yaml")
    assert "tuned-1" in refused.err  # the first thing that is not there is a model
