"""Several adapters in one location: what is missing is named by its own name, whatever stands around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoint_files import save
from command_line import assert_refused
from made_adapters import base_state, factors, write_adapter

Cli = Callable[..., Any]


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        ("one+none", "none: no such adapter"),
        ("one=0.5+none", "none: no such adapter"),
        ("one=0.5+none=0.3", "none: no such adapter"),
        ("none+one", "none: no such adapter"),
        ("one=x+two", "the strength 'x' is no number"),
        ("two+one=0,8", "the strength '0,8' is no number"),
    ],
)
def test_what_is_missing_is_named(here: Path, cli: Cli, chain: str, words: str) -> None:
    save(here / "base" / "model.safetensors", base_state())
    for seed, name in ((50, "one"), (60, "two")):
        write_adapter(here / name, factors("layers.0.q", 6, 4, seed=seed))
    assert_refused(cli("inspect", f"base+{chain}"), 2, words)
