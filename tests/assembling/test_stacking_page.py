"""What docs/stacking.md shows runs as it is written."""

from __future__ import annotations

import pytest
import torch
from checkpoint_files import save
from documentation.play import play, recipe


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


def test_the_page(models, cli):
    play("stacking.md", cli, recipe, recipe, recipe)
