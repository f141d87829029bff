"""UNets with more blocks than there are names for have none, so that no glob stands for a part of them unsaid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import State, save
from command_line import Result

from merge.diffusion.blocks import blocks_of

Cli = Callable[..., Result]


def deep(count: int) -> State:
    front = "model.diffusion_model."
    sides = [f"{side}_blocks.{number}" for side in ("input", "output") for number in range(count)]
    return {f"{front}{place}.0.weight": torch.ones(2, 2) for place in (*sides, "middle_block", "out")}


def test_twelve_blocks_on_each_side_have_names_and_more_have_none() -> None:
    assert blocks_of(deep(12)) is not None
    assert blocks_of(deep(13)) is None


@pytest.mark.parametrize("side", ["down", "up"])
def test_levels_of_more_layers_have_none(side: str) -> None:
    names = ["conv_in.weight", "mid_block.resnets.0.conv1.weight", "down_blocks.0.resnets.1.conv1.weight"]
    names += ["up_blocks.0.resnets.2.conv1.weight", "conv_out.weight"]
    assert blocks_of(names) is not None
    assert blocks_of([*names, f"{side}_blocks.0.resnets.3.conv1.weight"]) is None


@pytest.mark.parametrize(
    "flag", [("--block-weights", "GRAD_V"), ("--block-weights", "OUT*=1"), ("--keep", "block:OUT*")]
)
def test_it_is_refused_in_one_line(cli: Cli, tmp_path: Path, flag: tuple[str, str]) -> None:
    one, two = (save(tmp_path / name, deep(14)) for name in ("a.st", "b.st"))
    result = cli("soup", one, two, "-o", tmp_path / "out.st", *flag)
    assert result.code in (1, 2)
    assert "Stable Diffusion 1, 2 and XL" in result.err
    assert "unexpected" not in result.err
    assert not (tmp_path / "out.st").exists()
