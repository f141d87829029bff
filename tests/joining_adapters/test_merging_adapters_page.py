"""What docs/merging-adapters.md shows runs as it is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoint_files import save
from command_line import ROOT
from documentation.play import play
from made_adapters import factors, normal, write_adapter

from merge.adapters.joining.request import SUMS, Request
from merge.registry import find_method

PAGE = (ROOT / "docs" / "merging-adapters.md").read_text("utf-8")


@pytest.fixture
def adapters(here: Path) -> Path:
    for seed, name in ((50, "first"), (60, "second")):
        write_adapter(here / name, factors("layers.0.q", 6, 4, seed=seed))
    for seed, name in ((1, "style"), (2, "person")):
        state = {"lora_unet_a.lora_up.weight": normal(6, 2, seed=seed), "lora_unet_a.lora_down.weight": normal(2, 4)}
        save(here / f"{name}.safetensors", state)
    return here


def test_the_page(adapters: Path, cli: Callable[..., Any]) -> None:
    play("merging-adapters.md", cli)


def test_methods_of_the_page_are_methods_and_refused_ones_are_refused() -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("| `ties`"))
    for name in [*SUMS, *re.findall(r"`([\w-]+)`", row), "slerp", "median", "karcher"]:
        assert find_method(name).name in PAGE
        Request(("a", "b"), name).check()
    for name in ("fisher", "regmean", "rebasin", "stack"):
        assert f"`{name}`" in PAGE
        with pytest.raises(Exception, match="needs"):
            Request(("a", "b"), name).check()
