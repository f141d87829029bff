"""What docs/stable-diffusion.md shows runs as it is written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import load, save
from command_line import ROOT
from diffusion_layouts import layout, write_model

from merge.diffusion.block_presets import presets
from merge.diffusion.block_shares import has_shares
from merge.diffusion.blocks import blocks_of
from merge.registry import usable_methods

PAGE = (ROOT / "docs" / "stable-diffusion.md").read_text("utf-8")
COMMANDS = [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)]
RECIPES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
FIRST = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of the page; nothing writes over them."""
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("sd15", "dreamy", "photo")):
        write_model(folder / f"{name}.safetensors", "sd1", seed=seed, ema=name == "dreamy")
    for seed, name in enumerate(("sd15-diffusers", "dream-diffusers", "tuned-diffusers")):
        write_model(folder / name, "sd1", "diffusers", seed=seed)
    for seed, name in enumerate(("xl-a", "xl-b")):
        write_model(folder / f"{name}.safetensors", "sdxl", seed=seed)
    front = "first_stage_model."
    parts = load(folder / "photo.safetensors")
    parts = {name.removeprefix(front): part for name, part in parts.items() if name.startswith(front)}
    save(folder / "vae.safetensors", parts)
    outputs, inputs = layout("sd1", "diffusers")[f"unet.{FIRST}.weight"]
    module = f"lora_unet_{FIRST.replace('.', '_')}"
    lora = {"lora_down.weight": torch.randn(2, inputs), "lora_up.weight": torch.randn(outputs, 2)}
    save(folder / "style.safetensors", {f"{module}.{name}": factor for name, factor in lora.items()})
    return folder


@pytest.fixture
def models(made: Path, here: Path) -> Path:
    for path in made.iterdir():
        (here / path.name).symlink_to(path)
    return here


@pytest.mark.parametrize("block", COMMANDS, ids=[block[0].split()[1] for block in COMMANDS])
def test_commands_run(models: Path, cli: Callable[..., Any], block: list[str]) -> None:
    for line in block:
        result = cli(*shlex.split(line, comments=True)[1:])
        assert result.code == 0, (line, result.err)


@pytest.mark.parametrize("text", RECIPES)
def test_recipes_run(models: Path, cli: Callable[..., Any], text: str) -> None:
    (models / "recipe.yaml").write_text(text)
    result = cli("run", "recipe.yaml")
    assert result.code == 0, result.err


def test_presets_and_blocks_are_listed() -> None:
    for name in presets():
        assert f"`{name}`" in PAGE
    for family, count in (("sd1", "25 numbers"), ("sdxl", "19 for SDXL")):
        blocks = blocks_of(layout(family))
        assert blocks is not None
        assert len(blocks.numbered) == int(re.sub(r"\D", "", count))
        assert count in PAGE


def test_methods_with_shares_are_listed() -> None:
    methods = [method for method in usable_methods()[0] if has_shares(method)]
    assert {method.name for method in methods} >= {"soup", "slerp", "add-difference", "task-arithmetic"}
    for name in (method.name for method in methods if not method.aligns and not method.statistics):
        assert f"`{name}`" in PAGE, name
