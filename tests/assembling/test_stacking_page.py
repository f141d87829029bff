"""What docs/stacking.md shows runs as it is written."""

from __future__ import annotations

import re
import shlex

import pytest
import torch
from checkpoint_files import save
from command_line import ROOT

PAGE = (ROOT / "docs" / "stacking.md").read_text("utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
RECIPES = re.findall(r"^ *```yaml\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)


def llama(layers: int = 32) -> dict[str, torch.Tensor]:
    names = [f"model.layers.{number}.mlp.weight" for number in range(layers)]
    return {name: torch.randn(2, 2) for name in (*names, "model.embed_tokens.weight", "lm_head.weight")}


@pytest.fixture
def models(here):
    for name in ("llama", "code", "a", "b"):
        save(here / name / "model.safetensors", llama())
    save(here / "vision-model" / "model.safetensors", {"vision_tower.weight": torch.ones(2), "head": torch.ones(1)})
    save(here / "language-model" / "model.safetensors", {"vision_tower.weight": torch.zeros(2), "head": torch.ones(1)})
    diffusion = {"first_stage_model.weight": torch.ones(2), "model.weight": torch.ones(2)}
    for name in ("sdxl-vae-fix.st", "style-a.st", "style-b.st"):
        save(here / name, diffusion)
    return here


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_runs(models, cli, line):
    result = cli(*shlex.split(line, comments=True)[1:])
    assert result.code == 0, result.err


@pytest.mark.parametrize("text", RECIPES)
def test_a_recipe_runs(models, cli, text):
    (models / "recipe.yaml").write_text(text)
    result = cli("run", "recipe.yaml", "-o", "result")
    assert result.code == 0, result.err
