"""What docs/adapters.md shows runs as it is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import save
from command_line import ROOT
from documentation.play import play, recipe
from made_adapters import base_state, factors, write_adapter

from merge.adapters.config import _CHANGED_BASE, _NO_SUM
from merge.checkpoints.state_dict import PREFIXES, WRAPPERS

PAGE = (ROOT / "docs" / "adapters.md").read_text("utf-8")


@pytest.fixture
def models(here: Path) -> Path:
    save(here / "base" / "model.safetensors", base_state())
    for seed, name in ((50, "adapter"), (60, "other")):
        write_adapter(here / name, factors("layers.0.q", 6, 4, seed=seed))
    save(here / "model.safetensors", base_state())
    for seed, name in ((50, "style"), (60, "detail")):
        down, up = factors("layers.0.q", 6, 4, seed=seed).values()
        save(
            here / f"{name}.safetensors",
            {"lora_layers_0_q.lora_down.weight": down, "lora_layers_0_q.lora_up.weight": up},
        )
    (here / "folder-with-bin").mkdir()
    torch.save({"state_dict": base_state(), "epoch": 3}, here / "run.ckpt")
    torch.save(base_state(), here / "folder-with-bin" / "pytorch_model.bin")
    return here


def test_the_page(models: Path, cli: Callable[..., Any]) -> None:
    play("adapters.md", cli, recipe)


def test_what_is_refused_and_opened_is_listed() -> None:
    for word in (*_CHANGED_BASE, *WRAPPERS, *PREFIXES):
        assert f"`{word}`" in PAGE
    for reason in _NO_SUM.values():
        name = re.search(r"\(([^)]+)\)$", reason)
        assert (name[1] if name else "repeated layers") in PAGE
