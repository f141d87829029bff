"""Every recipe that is compared with mergekit: printed in our own grammar it gives the same; `verify` proves it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from checkpoint_files import load
from command_line import ROOT

pytestmark = pytest.mark.slow

GROUPS = {"cases": "RECIPES", "slices": "SLICES", "documents": "DOCUMENTS", "modules": "MODULES", "tokens": "TOKENS"}


@pytest.fixture(scope="module", autouse=True)
def _scripts() -> Iterator[None]:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield
    sys.path.remove(str(ROOT / "benchmarks"))
    for name in [name for name in sys.modules if name.startswith("agreement")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def models(_scripts: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    importlib.import_module("agreement_recipe_models").write_models(folder)
    return folder


@pytest.mark.parametrize("group", GROUPS)
def test_printed_recipes_give_the_same(cli, models, monkeypatch, tmp_path, group):
    monkeypatch.chdir(models)
    recipes = getattr(importlib.import_module(f"agreement_recipe_{group}"), GROUPS[group])
    for number, (name, documents) in enumerate(recipes.items()):
        recipe, printed = tmp_path / f"{number}.yml", tmp_path / f"{number}-printed.yaml"
        recipe.write_text(documents if isinstance(documents, str) else "---\n".join(documents))
        shown = cli("run", recipe, "--print-recipe")
        assert shown.code == 0, (name, shown.err)
        printed.write_text(shown.out)
        for path in (recipe, printed):
            done = cli("run", path, "-o", path.with_suffix(""), "--no-fsync")
            assert done.code == 0, (name, done.err)
        assert cli("verify", recipe.with_suffix("")).code == 0, name
        _assert_alike(recipe.with_suffix(""), printed.with_suffix(""), name)


def _assert_alike(one: Path, other: Path, name: str) -> None:
    """Assert that two folders have the same tensors and, but for the card and the weights' file, the same files."""
    states = load(one), load(other)
    assert states[0].keys() == states[1].keys(), name
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0]), name
    files = [
        {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix not in (".md", ".safetensors")}
        for folder in (one, other)
    ]
    assert files[0] == files[1], name
