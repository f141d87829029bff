"""The commands that docs/tensors.md shows for diffusion models do what it says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import ROOT, Result
from diffusion_layouts import write_model

PAGE = (ROOT / "docs" / "tensors.md").read_text("utf-8")
SECTION = PAGE.partition("## Diffusion models in two layouts")[2].partition("\n## ")[0]
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_commands_run(here: Path, cli: Callable[..., Result], family: str) -> None:
    write_model(here / "photo.safetensors", family, seed=1)
    write_model(here / "painting", family, "diffusers", seed=2)
    assert len(COMMANDS) == 5
    for line in COMMANDS:
        result = cli(*shlex.split(line, comments=True)[1:])
        assert result.code == 0, (line, result.err)
    assert (here / "mixed" / "unet" / "diffusion_pytorch_model.safetensors").is_file()
