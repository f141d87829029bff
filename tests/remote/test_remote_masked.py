"""Weights under masks, read from elsewhere: the same bytes as from the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from checkpoint_files import assert_same, load, save
from command_line import Result
from stand_in import StandIn, repository

Cli = Callable[..., Result]


def test_as_from_the_disk(tmp_path: Path, hub: StandIn, here: Path, cli: Cli, monkeypatch) -> None:
    monkeypatch.setattr("merge.checkpoints.masked.AT_ONCE", 50_000)
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand(700, 900, generator=generator) < 0.5).float()
    for name in "ab":
        model = {"w_orig": torch.randn(700, 900, generator=generator), "w_mask": mask, "v": torch.ones(3)}
        save(tmp_path / name / "model.safetensors", model)
        hub.models[f"me/{name}"] = repository(tmp_path / name)
    assert cli("sparse-soup", tmp_path / "a", tmp_path / "b", "-o", "local", "--quiet").code == 0
    found = cli("sparse-soup", "me/a", "me/b", "-o", "remote", "--quiet")
    assert found.code == 0, found.err
    assert_same(load(here / "remote"), load(here / "local"))
    assert torch.equal(load(here / "remote")["w"] != 0, mask == 1)
