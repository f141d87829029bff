"""What docs/component-folders.md shows runs as it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result
from component_models import in_components, write_pipeline, write_sentences
from documentation.play import play, recipe

Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def _models(here: Path) -> None:
    for seed, name in enumerate(("painting", "photo")):
        write_pipeline(here / name, seed)
        write_sentences(here / f"sentences-{'ab'[seed]}", seed)


def test_the_page(cli: Cli) -> None:
    play("component-folders.md", cli, recipe)
    assert "2_Dense.linear.weight" in in_components(Path("sentences"))
    joined, photo = in_components(Path("joined")), in_components(Path("photo"))
    assert (joined["vae.decoder.conv_in.weight"] == photo["vae.decoder.conv_in.weight"]).all()
