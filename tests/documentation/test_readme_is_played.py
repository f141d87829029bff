"""Every block of the README, each in a fresh copy of what it names."""

from __future__ import annotations

from pathlib import Path

import pytest
from documentation.blocks import blocks
from documentation.play import Cli, play, recipe
from documentation.worlds import copied

BLOCKS = blocks("README.md")


@pytest.mark.parametrize("number", range(len(BLOCKS)), ids=[block.where for block in BLOCKS])
def test_a_block(readme_world: Path, here: Path, cli: Cli, number: int) -> None:
    copied(readme_world, here)
    if "merge run recipe.yaml" in BLOCKS[number].text:
        (here / "recipe.yaml").write_text("merge: soup\nmodels: [./a.st, ./b.st]\noutput: ./by-recipe.st\n")
    play("README.md", cli, *(() if BLOCKS[number].commands else (recipe,)), only=number)
