"""Every command and script of docs/sparse-soups.md, in its order, on the bundled digits."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import load, save
from documentation.blocks import blocks
from documentation.play import play, run
from torch.nn.utils import prune

NETWORK, RETRAIN = (block for block in blocks("sparse-soups.md") if not block.commands)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("page")
    (folder / "network.py").write_text(NETWORK.text)
    (folder / "retrain.py").write_text(RETRAIN.text)
    digits = load_digits()
    images, labels = (digits.images * 15).astype(np.uint8), digits.target.astype(np.int64)
    np.savez(folder / "train.npz", images=images[:1200], labels=labels[:1200])
    np.savez(folder / "held-out.npz", images=images[1200:], labels=labels[1200:])
    (folder / "held-out.yaml").write_text("name: held-out\nkind: classification\ndata: {path: held-out.npz}\n")
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "network", raising=False)


def start(folder: Path, cli) -> None:
    """Train the dense network, and leave two modules under masks."""
    from network import Network

    torch.manual_seed(0)
    save(folder / "initial.st", Network().state_dict())
    run("python retrain.py initial.st dense.st 0 0.1", RETRAIN, cli)
    for seed, name in enumerate(("masked.pt", "masked-too.pt")):
        network = Network()
        network.load_state_dict(load(folder / "dense.st"))
        prune.l1_unstructured(network[8], "weight", amount=0.5)
        network[8].weight_orig.data += seed
        torch.save(network.state_dict(), folder / name)


def test_the_whole_page(folder, cli):
    start(folder, cli)
    play("sparse-soups.md", cli, "network.py", "retrain.py")
    states = {path.stem: load(path) for path in folder.glob("*.st")}
    weights = ("0.weight", "3.weight", "8.weight")
    for name in ("pruned", "a", "b", "c", "soup", "greedy"):
        zeros = sum(int((states[name][weight] == 0).sum()) for weight in weights)
        assert zeros == round(0.8 * sum(states[name][weight].numel() for weight in weights))
    assert all(torch.equal(states["a"][one] == 0, states["greedy"][one] == 0) for one in weights)


def test_averages_are_good_once_their_statistics_are_measured(folder, cli):
    from merge.evaluation import evaluate

    names = [str(folder / f"{name}.st") for name in ("a", "greedy", "pruned")]
    found = evaluate(names, [str(folder / "held-out.yaml")], model="network.py:Network").results
    one, soup, pruned = (row["value"] for row in found if row["metric"] == "accuracy")
    assert soup > one - 0.02
    assert soup > pruned
