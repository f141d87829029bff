"""The commands that docs/tensors.md shows for diffusion models do what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result
from diffusion_layouts import write_model
from documentation.play import play


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_commands_run(here: Path, cli: Callable[..., Result], family: str) -> None:
    write_model(here / "photo.safetensors", family, seed=1)
    write_model(here / "painting", family, "diffusers", seed=2)
    play("tensors.md", cli)
    assert (here / "mixed" / "unet" / "diffusion_pytorch_model.safetensors").is_file()
