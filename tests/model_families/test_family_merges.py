"""Fine-tunes of every family, merged by recipes of mergekit: every tensor is accounted for, and the outcome runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from checkpoint_files import load
from model_families.decoders import DECODERS
from model_families.family import Family, write
from model_families.outcomes import arc, close, state
from model_families.towers import TOWERS
from reference import ties

FAMILIES = DECODERS | TOWERS
LAYERS = 3
RECIPES = {
    "linear": "models: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: 3}}]\n",
    "ties": "base_model: base\nmodels: [{model: a}, {model: b}]\nparameters: {weight: 1, density: 0.5}\n",
    "slerp": "base_model: a\nmodels: [{model: a}, {model: b}]\nparameters: {t: 0.25}\n",
}
INPUTS = {"linear": "ab", "ties": ("base", "a", "b"), "slerp": "ab"}


class Made(NamedTuple):
    """A family, and the folder in which its models lie."""

    family: Family
    folder: Path


@pytest.fixture(scope="module", params=FAMILIES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp(request.param)
    write(FAMILIES[request.param], folder, LAYERS)
    for method, text in RECIPES.items():
        (folder / f"{method}.yml").write_text(f"merge_method: {method}\n{text}")
    return Made(FAMILIES[request.param], folder)


@pytest.fixture
def merged(cli, made, monkeypatch) -> Callable[[str], Path]:
    """Merge by a recipe, once for all tests of a family."""
    monkeypatch.chdir(made.folder)

    def merge(method: str) -> Path:
        out = made.folder / f"out-{method}"
        if not out.exists():
            result = cli("run", f"{method}.yml", "-o", out, "--no-fsync")
            assert result.code == 0, result.err
        return out

    return merge


def test_a_mean_is_the_mean_of_the_loaded_models(made, merged):
    """Names in the files and in the models may differ: the mean is compared where the models are used."""
    out = merged("linear")
    one, other = (state(made.family.load(made.folder / name)) for name in "ab")
    found = state(made.family.load(out))
    assert found.keys() == one.keys()
    assert all(close(found[name], (one[name] + 3 * other[name]) / 4) for name in one)


def test_ties_of_every_tensor(made, merged):
    base, one, other = (load(made.folder / name) for name in ("base", "a", "b"))
    found = load(merged("ties"))
    assert found.keys() == base.keys()
    for name, tensor in base.items():
        assert close(found[name], ties(tensor, [one[name], other[name]], [1, 1], density=0.5)), name


def test_arcs_of_every_tensor(made, merged):
    one, other = (load(made.folder / name) for name in "ab")
    found = load(merged("slerp"))
    assert found.keys() == one.keys()
    assert all(close(found[name], arc(one[name], other[name], 0.25)) for name in one)


@pytest.mark.parametrize("method", RECIPES)
def test_every_tensor_of_every_input_is_accounted_for(cli, made, monkeypatch, tmp_path, method):
    monkeypatch.chdir(made.folder)
    result = cli("run", f"{method}.yml", "-o", tmp_path / "out", "--dry-run", "--json")
    assert result.code == 0, result.err
    ledger = json.loads(result.out)
    used = [(model, name) for row in ledger["tensors"] for model, name in row["from"].items()]
    skipped = [(skip["model"], skip["tensor"]) for skip in ledger["skipped"]]
    assert not skipped
    assert sorted(used) == sorted((model, name) for model in INPUTS[method] for name in load(made.folder / model))


@pytest.mark.parametrize("method", RECIPES)
def test_the_outcome_runs(made, merged, method):
    model = made.family.load(merged(method))
    assert torch.isfinite(made.family.run(model)).all()
    output = model.get_output_embeddings()
    tied = output is not None and output.weight is model.get_input_embeddings().weight
    assert tied == made.family.tied
