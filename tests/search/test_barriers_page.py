"""Every command of docs/barriers.md, in its order, on small networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import save
from documentation.play import play
from test_layer_barriers import SOURCE, state

NORMED = """

class Normed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.head = torch.nn.Linear(64, 16), torch.nn.BatchNorm1d(16), torch.nn.Linear(16, 10)

    def example_inputs(self):
        return (torch.zeros(2, 64),)

    def forward(self, pixels):
        return self.head(torch.relu(self.norm(self.first(pixels))))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "network.py").write_text(SOURCE + NORMED)
    space: dict[str, type[torch.nn.Module]] = {}
    exec(compile(SOURCE + NORMED, "network", "exec"), space)
    for seed, name in enumerate("abc"):
        save(folder / f"{name}.st", state(seed))
    for seed, name in enumerate(("n1", "n2")):
        torch.manual_seed(seed)
        save(folder / f"{name}.st", space["Normed"]().state_dict())
    for seed, name in enumerate(("test", "train")):
        images = np.random.default_rng(seed).integers(0, 256, (50, 8, 8), dtype=np.uint8)
        np.savez(folder / f"{name}.npz", images=images, labels=np.arange(50) % 10)
        (folder / f"{name}.yaml").write_text(f"name: {name}\nkind: classification\ndata: {{path: {name}.npz}}\n")
    return folder


def test_the_page_and_what_it_says_of_outputs_and_costs(folder, monkeypatch, cli):
    monkeypatch.chdir(folder)
    play("barriers.md", cli)
    assert {path.name for path in folder.glob("one-order*.st")} == {"one-order-2.st", "one-order-3.st"}
    found = json.loads((folder / "matrix" / "results.json").read_text())["barrier_matrix"]
    assert {pair["name"] for pair in found["pairs"]} == {"naive", "aligned"}
    assert len(found["pairs"]) == 6
