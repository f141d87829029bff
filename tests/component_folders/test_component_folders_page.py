"""What docs/component-folders.md shows runs as it is written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import ROOT, Result
from component_models import in_components, write_pipeline, write_sentences

Cli = Callable[..., Result]
PAGE = (ROOT / "docs" / "component-folders.md").read_text("utf-8")


@pytest.fixture(autouse=True)
def _models(here: Path) -> None:
    for seed, name in enumerate(("painting", "photo")):
        write_pipeline(here / name, seed)
        write_sentences(here / f"sentences-{'ab'[seed]}", seed)


def test_commands_run(cli: Cli) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines():
        found = cli(*shlex.split(line, comments=True)[1:])
        assert found.code == 0, (line, found.err)
    assert "2_Dense.linear.weight" in in_components(Path("sentences"))


def test_the_recipe_runs(cli: Cli) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    Path("recipe.yaml").write_text(text)
    found = cli("run", "recipe.yaml")
    assert found.code == 0, found.err
    joined, photo = in_components(Path("joined")), in_components(Path("photo"))
    assert (joined["vae.decoder.conv_in.weight"] == photo["vae.decoder.conv_in.weight"]).all()
