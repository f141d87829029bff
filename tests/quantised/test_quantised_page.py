"""What docs/quantised.md shows runs as it is written, and what it lists is what is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import load, random_state
from command_line import ROOT
from documentation.play import play
from scaled_models import plain, random_scaled, save_model

from merge.checkpoints.foreign import _ENDS as FOREIGN_ENDS
from merge.checkpoints.quantised import _SCHEMES
from merge.checkpoints.state_dict import PREFIXES

PAGE = (ROOT / "docs" / "quantised.md").read_text("utf-8")


@pytest.fixture
def models(here: Path) -> Path:
    for seed, name in ((1, "deepseek-a"), (2, "deepseek-b")):
        save_model(here / name, random_scaled(seed))
    save_model(here / "plain-base", plain(random_scaled(0)), {"torch_dtype": "bfloat16"})
    torch.save({"state_dict": random_state(1), "state_dict_ema": random_state(2), "epoch": 3}, here / "run.ckpt")
    torch.save(random_state(3), here / "other.ckpt")
    return here


def test_the_page(models: Path, cli: Callable[..., Any]) -> None:
    play("quantised.md", cli)
    assert load(models / "merged").keys() == random_scaled(1).keys()
    assert load(models / "tuned").keys() == plain(random_scaled(1)).keys()


def test_what_is_known_is_listed() -> None:
    names = PAGE.lower()
    for scheme in _SCHEMES.values():
        assert scheme.name.lower() in names or scheme.name in ("ModelOpt", "MXFP8")
    for end in (".onnx", ".pb", ".h5", ".msgpack"):
        assert f"`{end}`" in PAGE
        assert end in FOREIGN_ENDS
    for prefix in PREFIXES:
        assert f"`{prefix}`" in PAGE
