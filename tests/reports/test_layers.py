"""Norms, cosines and conflicts by layer, against the same numbers from whole arrays, and the report of a real merge."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from merge.planning.blocks import layer_of

SHAPES = {
    "vit.embeddings.position": (3, 4),
    **{
        f"vit.encoder.layer.{layer}.{part}": (4, 4)
        for layer in (0, 2, 10, 1)
        for part in ("query.weight", "key.weight")
    },
    **{f"vit.encoder.layer.{layer}.key.bias": (4,) for layer in range(3, 10)},
    "classifier.weight": (2, 4),
    "vit.layernorm.weight": (4,),
}


@pytest.fixture
def checkpoints(tmp_path):
    """Write ``base``, ``one``, ``two`` and ``three``; a third of each model's entries stay."""
    generator = np.random.default_rng(0)
    models = {"base": {name: generator.standard_normal(shape, np.float32) for name, shape in SHAPES.items()}}
    for name in ("one", "two", "three"):
        moved = {key: generator.standard_normal(shape, np.float32) for key, shape in SHAPES.items()}
        models[name] = {key: models["base"][key] + step * (abs(step) > 0.4) for key, step in moved.items()}
    for name, tensors in models.items():
        save_file(tensors, tmp_path / f"{name}.st")
    return models


def merge(folder, *arguments):
    command = [sys.executable, "-m", "merge", *arguments, "-o", "out.st", "--report", "report", "--no-fsync"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "report" / "results.json").read_text())


def expected(models, origin, layer, names):
    keys = [key for key in SHAPES if layer_of(key)[1] == layer]
    flat = [np.concatenate([models[name][key].ravel() for key in keys]).astype(np.float64) for name in (*names, origin)]
    return np.array(flat[:-1]) - flat[-1], len(keys)


def check_rows(rows, models, origin, names):
    for row in rows:
        differences, tensors = expected(models, origin, row["layer"], names)
        assert (row["tensors"], row["parameters"]) == (tensors, differences.shape[1])
        norms = np.linalg.norm(differences, axis=1)
        assert list(row["norms"].values()) == pytest.approx(norms, rel=1e-9)
        cosines = differences @ differences.T / np.outer(norms, norms)
        for one in row["cosines"]:
            place = names.index(one["a"].removesuffix(".st")), names.index(one["b"].removesuffix(".st"))
            assert one["value"] == pytest.approx(cosines[place], abs=1e-9)


def test_task_vectors_by_layer(checkpoints, tmp_path):
    names = ["one", "two", "three"]
    report = merge(
        tmp_path, "task-arithmetic", *(f"{name}.st" for name in names), "--base", "base.st", "--scale", "0.3"
    )
    rows = report["layers"]
    assert report["layers_measured_from"] == "the base"
    blocks = [f"vit.encoder.layer.{number}" for number in range(11)]
    assert [row["layer"] for row in rows] == ["vit.embeddings", *blocks, "vit.layernorm", "classifier"]
    assert [len(row["cosines"]) for row in rows] == [3] * len(rows)
    check_rows(rows, checkpoints, "base", names)
    for row in rows:
        differences, _ = expected(checkpoints, "base", row["layer"], names)
        moved = (differences != 0).sum(axis=0) > 1
        both = (differences > 0).any(axis=0) & (differences < 0).any(axis=0)
        assert row["conflict"] == pytest.approx(both.sum() / moved.sum())
    assert len({row["conflict"] for row in rows}) > 5


def test_without_a_base_layers_are_measured_from_the_output(checkpoints, tmp_path):
    report = merge(tmp_path, "soup", "one.st", "two.st")
    assert report["layers_measured_from"] == "the output"
    models = checkpoints | {"out": {key: (checkpoints["one"][key] + checkpoints["two"][key]) / 2 for key in SHAPES}}
    assert {row["conflict"] for row in report["layers"]} == {None}
    for row in report["layers"]:
        differences, _ = expected(models, "out", row["layer"], ["one", "two"])
        assert list(row["norms"].values()) == pytest.approx(np.linalg.norm(differences, axis=1), rel=1e-5)
    assert "sign conflicts are not counted" in (tmp_path / "report" / "report.md").read_text()


def test_the_report_of_a_merge_shows_weights_recipe_and_cost(checkpoints, tmp_path):
    report = merge(tmp_path, "soup", "one.st", "two.st", "--weights", "0.25,0.75")
    assert report["weights"] == [{"model": "one.st", "weight": 0.25}, {"model": "two.st", "weight": 0.75}]
    assert report["run"]["peak_memory_bytes"] > 10**6
    page = (tmp_path / "report" / "report.html").read_text()
    assert "2 models merged by soup in " in page
    assert "- model: one.st\n  weight: 0.25" in page


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("model.embed_tokens.weight", (0, "model.embed_tokens")),
        ("model.layers.11.self_attn.q_proj.weight", (1, "model.layers.11")),
        ("h.3.ln_1.weight", (1, "h.3")),
        ("model.norm.weight", (2, "model.norm")),
        ("lm_head.weight", (2, "lm_head")),
        ("layer1.0.conv1.weight", (0, "layer1.0")),
        ("scale", (0, "scale")),
    ],
)
def test_layers_by_name(name, layer):
    assert layer_of(name) == layer
