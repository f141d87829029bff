"""``merge barrier --per-layer``: every number recomputed from merged checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from checkpoint_files import load, save
from command_line import assert_refused

from merge.schema import SCHEMAS

SOURCE = """
import torch


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.head = torch.nn.Linear(64, 8), torch.nn.Linear(8, 8), torch.nn.Linear(8, 10)

    def example_inputs(self):
        return (torch.zeros(2, 64),)

    def forward(self, pixels):
        return self.head(torch.relu(self.fc2(torch.relu(self.fc1(pixels)))))
"""
MODEL = ("--model", "network.py:Network")
LAYERS = ["fc1", "fc2", "head"]


def state(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"fc1": (8, 64), "fc2": (8, 8), "head": (10, 8)}
    found = {f"{name}.weight": torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return found | {f"{name}.bias": torch.randn(shape[0], generator=generator) for name, shape in shapes.items()}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "network.py").write_text(SOURCE)
    for seed, name in enumerate("abcd"):
        save(tmp_path / f"{name}.st", state(seed))
    for seed, name in enumerate(("test", "train")):
        images = np.random.default_rng(seed).integers(0, 256, (50, 8, 8), dtype=np.uint8)
        np.savez(tmp_path / f"{name}.npz", images=images, labels=np.arange(50) % 10)
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\nkind: classification\ndata: {{path: {name}.npz}}\n")
    return tmp_path


def barrier(cli: Any, *arguments: object, points: int = 3) -> dict[str, Any]:
    result = cli("barrier", *arguments, "--benchmark", "test.yaml", *MODEL, "--points", points, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def loss_of(cli: Any, tensors: dict[str, torch.Tensor]) -> float:
    save(Path("point.st"), tensors)
    found = json.loads(cli("eval", "point.st", "--benchmark", "test.yaml", *MODEL, "--json").out)
    return next(row["value"] for row in found["results"] if row["metric"] == "loss")


def test_every_number_recomputed(cli, here):
    document = barrier(cli, "a.st", "b.st", "--per-layer")
    jsonschema.validate(document, SCHEMAS["barrier"]())
    a, b = load(here / "a.st"), load(here / "b.st")
    assert [row["layer"] for row in document["layers"]] == LAYERS
    for row in document["layers"]:
        places = [point["position"] for point in row["points"]]
        assert places == [0, 0.25, 0.5, 0.75, 1]
        losses = []
        for place in places:
            moved = {name: (1 - place) * a[name] + place * b[name] for name in a if name.startswith(row["layer"])}
            losses.append(loss_of(cli, a | moved))
        assert [point["metrics"]["loss"]["value"] for point in row["points"]] == pytest.approx(losses, rel=1e-5)
        own = [loss - (1 - place) * losses[0] - place * losses[-1] for loss, place in zip(losses, places, strict=True)]
        mean = [loss - (losses[0] + losses[-1]) / 2 for loss in losses]
        found = {one["definition"]: one for one in row["barriers"] if one["metric"] == "loss"}
        assert found["linear"]["value"] == pytest.approx(max(own), abs=1e-5)
        assert found["midpoint-mean"]["value"] == pytest.approx(max(mean), abs=1e-5)
        assert row["worse"]["loss"] == pytest.approx(losses[2] - losses[0], abs=1e-5)
        assert row["metrics"] == row["points"][2]["metrics"]


def test_with_a_and_b_exchanged_the_rest_is_bs(cli, here):
    rows = barrier(cli, "b.st", "a.st", "--layers", "--layer-points", 3)["layers"]
    a, b = load(here / "a.st"), load(here / "b.st")
    last = {row["layer"]: row["points"][-1]["metrics"]["loss"]["value"] for row in rows}
    for layer in LAYERS:
        moved = {name: a[name] for name in a if name.startswith(layer)}
        assert last[layer] == pytest.approx(loss_of(cli, b | moved), rel=1e-6)
    assert all(len(row["points"]) == 3 for row in rows)


def test_layers_of_the_aligned_line_and_of_several_benchmarks(cli, here):
    more = ("--aligned", "c.st", "--benchmark", "train.yaml", "--per-layer", "--layer-points", 3, "--report", "report")
    document = barrier(cli, "a.st", "b.st", *more)
    kinds = [(row["line"], row["benchmark"]) for row in document["layers"][::3]]
    assert kinds == [(line, name) for line in ("naive", "aligned") for name in ("train", "test")]
    straight = barrier(cli, "a.st", "c.st", "--per-layer", "--layer-points", 3)["layers"]
    aligned = [row for row in document["layers"] if (row["line"], row["benchmark"]) == ("aligned", "test")]
    assert [row["barriers"] for row in aligned] == [row["barriers"] for row in straight]
    text = (here / "report" / "report.md").read_text()
    assert "Loss on train (aligned), one layer alone moving from A to B" in text
    printed = cli("barrier", "a.st", "b.st", "--benchmark", "test.yaml", *MODEL, "--points", 3, "--per-layer").out
    assert [line.split()[0] for line in printed.splitlines()[-6::2]] == LAYERS


def test_two_copies_have_no_barrier_in_any_layer(cli, here):
    for row in barrier(cli, "a.st", "a.st", "--per-layer")["layers"]:
        assert all(one["value"] == pytest.approx(0, abs=1e-6) for one in row["barriers"])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--layer-points", 5), ("--layer-points", "--per-layer")),
        (("--per-layer", "--layer-points", 4), ("--layer-points must be odd", "4")),
        (("c.st", "--per-layer"), ("--per-layer is for two models", "3")),
    ],
)
def test_refusals(cli, here, more, words):
    assert_refused(cli("barrier", "a.st", "b.st", *more, "--benchmark", "test.yaml", *MODEL), 2, *words)
