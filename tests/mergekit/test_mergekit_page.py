"""Every command of the page "Coming from mergekit", and that the page names all that it must."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from checkpoint_files import random_state, save
from command_line import ROOT

from merge.mergekit.methods import METHODS
from merge.mergekit.reading import KEYS

PAGE = (ROOT / "docs" / "coming-from-mergekit.md").read_text("utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.strip().splitlines()]
RECIPE, STAGES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for seed, name in enumerate(("base", "code", "math")):
        tensors = random_state(seed)
        blocks = {f"model.layers.{layer}.mlp.weight": tensor for layer, tensor in enumerate(tensors.values())}
        save(folder / name / "model.safetensors", blocks)
    (folder / "old.yml").write_text(RECIPE)
    (folder / "stages.yml").write_text(STAGES)
    return folder


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=lambda number: COMMANDS[number][:60])
def test_command(folder, monkeypatch, cli, number):
    monkeypatch.chdir(folder)
    result = cli(*shlex.split(COMMANDS[number], comments=True)[1:])
    assert result.code == 0, (COMMANDS[number], result.err)


def test_the_page_names_every_method_and_key():
    assert len(COMMANDS) > 4
    for word in (*METHODS, *KEYS):
        assert f"`{word}`" in PAGE or f"`{word}:" in PAGE, word
