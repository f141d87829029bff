"""What docs/stable-diffusion.md shows runs as it is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import ROOT
from diffusion_layouts import layout
from documentation.play import play, recipe
from documentation.worlds import diffusion_models

from merge.diffusion.block_presets import presets
from merge.diffusion.block_shares import has_shares
from merge.diffusion.blocks import blocks_of
from merge.registry import usable_methods

PAGE = (ROOT / "docs" / "stable-diffusion.md").read_text("utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of the page; nothing writes over them."""
    folder = tmp_path_factory.mktemp("models")
    diffusion_models(folder)
    return folder


@pytest.fixture
def models(made: Path, here: Path) -> Path:
    for path in made.iterdir():
        (here / path.name).symlink_to(path)
    return here


def test_the_page(models: Path, cli: Callable[..., Any]) -> None:
    play("stable-diffusion.md", cli, recipe)


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
