"""What docs/extracting-adapters.md shows runs as it is written, and what it says of numbers holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import ROOT
from diffusion_layouts import random_model
from documentation.blocks import Block
from documentation.play import Cli, play
from safetensors.torch import save_file
from tuned_models import llama, made, tuned

from merge.adapters.low_rank.factorising import EXACT_SIDE
from merge.adapters.low_rank.sketching import POWER_ITERATIONS

PAGE = (ROOT / "docs" / "extracting-adapters.md").read_text("utf-8")


@pytest.fixture
def models(here: Path) -> Path:
    model = made(llama)
    model.save_pretrained(here / "base")
    tuned(model)
    model.save_pretrained(here / "tuned")
    state = random_model("sd1", dtype=torch.float16)
    save_file(state, here / "sd15.safetensors")
    other = random_model("sd1", seed=3, dtype=torch.float16)
    floating = {name: tensor for name, tensor in state.items() if tensor.is_floating_point() and "betas" not in name}
    save_file(
        state | {name: tensor + 0.1 * other[name] for name, tensor in floating.items()}, here / "dreamy.safetensors"
    )
    return here


def loads(block: Block, cli: Cli) -> None:
    """The page's lines of Python, which take the base for granted."""
    pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    names = {"base": AutoModelForCausalLM.from_pretrained("base")}
    exec(compile(block.text, block.where, "exec"), names)
    assert "model" in names


def test_the_page(models: Path, cli: Cli) -> None:
    play("extracting-adapters.md", cli, loads)


def test_numbers_and_flags_are_those_of_the_program(cli: Callable[..., Any]) -> None:
    assert f"up to {EXACT_SIDE} are decomposed exactly" in PAGE
    assert POWER_ITERATIONS == 4
    assert "four power iterations" in PAGE
    known = set(re.findall(r"--[a-z-]+", cli("extract-lora", "--help").out))
    assert {"--rank", "--energy", "--whole"} <= set(re.findall(r"`(--[a-z-]+)", PAGE)) <= known
