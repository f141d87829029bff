"""Every command of the page "Coming from mergekit", and that the page names all that it must."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkpoint_files import random_state, save
from command_line import ROOT
from documentation.play import play

from merge.mergekit.methods import METHODS
from merge.mergekit.reading import KEYS

PAGE = (ROOT / "docs" / "coming-from-mergekit.md").read_text("utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for seed, name in enumerate(("base", "code", "math")):
        tensors = random_state(seed)
        blocks = {f"model.layers.{layer}.mlp.weight": tensor for layer, tensor in enumerate(tensors.values())}
        save(folder / name / "model.safetensors", blocks)
    return folder


def test_the_page(folder, monkeypatch, cli):
    monkeypatch.chdir(folder)
    play("coming-from-mergekit.md", cli, "old.yml", "stages.yml")


def test_the_page_names_every_method_and_key():
    for word in (*METHODS, *KEYS):
        assert f"`{word}`" in PAGE or f"`{word}:" in PAGE, word
