"""Per-model options within a layer rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from merge.api import merge
from merge.errors import UsageError
from merge.grammar import read_recipe
from merge.provenance import describe


@pytest.fixture
def recipe(tmp_path):
    for number, name in enumerate("ab"):
        tensors = {key: np.full((2,), number, np.float32) for key in ("head", "body", "tail")}
        save_file(tensors, tmp_path / f"{name}.st")

    def write(layers: str, models: str = "[{model: a.st, weight: 0.5}, {model: b.st, weight: 0.5}]") -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_text(f"merge: soup\nmodels: {models}\nlayers:\n{layers}\noutput: out.st\n")
        return path

    return write


def merged(path):
    written = merge(path)
    return {name: float(array[0]) for name, array in load_file(written.out).items()}


def test_other_weights_for_some_tensors(recipe):
    found = merged(recipe("  - {match: head, models: [{weight: 0.9}, {weight: 0.1}]}"))
    assert found == pytest.approx({"head": 0.1, "body": 0.5, "tail": 0.5})


def test_a_model_keeps_its_own_weight_where_the_rule_gives_none(recipe):
    found = merged(recipe("  - {match: head, models: [{}, {weight: 0.1}]}", "[{model: a.st, weight: 0.7}, b.st]"))
    assert found["head"] == pytest.approx(0.1)


def test_the_card_repeats_it(recipe, tmp_path):
    path = recipe("  - {match: head, models: [{weight: 0.9}, {weight: 0.1}]}")
    described = describe(read_recipe(path), lambda model, kind: str(model.model))
    assert described["layers"] == [{"match": "head", "models": [{"weight": 0.9}, {"weight": 0.1}]}]
    merge(path)
    from merge.cli import main

    assert main(["verify", str(tmp_path / "out.st")]) == 0


@pytest.mark.parametrize(
    ("layers", "place", "message"),
    [
        ("  - {match: head, models: [{weight: 0.9}]}", ":4:5", "options for 1 models, but 2 are merged"),
        ("  - {match: head, models: [{wieght: 0.9}, {}]}", ":4:29", "did you mean 'weight'?"),
        ("  - {match: head, models: [0.9, 0.1]}", ":4:28", "is a mapping of its options"),
        ("  - {match: head, models: [{weight: x}, {}]}", ":4:29", "must be a number"),
        ("  - {match: head, keep: base, models: [{}, {}]}", ":4:31", "has no options"),
    ],
)
def test_refusals(recipe, layers, place, message):
    path = recipe(layers)
    with pytest.raises(UsageError) as refusal:
        merge(path)
    assert str(refusal.value).startswith(f"{path}{place}")
    assert message in str(refusal.value)
