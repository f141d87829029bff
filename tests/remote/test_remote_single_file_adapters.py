"""Adapters in one file on the hub, behind an address and in a store, each with a strength."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
import torch
from checkpoint_files import load, save
from command_line import Result, assert_refused
from fake_hub import commit_of, files_in
from stand_in import StandIn, repository

Cli = Callable[..., Result]
Models = tuple[Path, Path]


@pytest.fixture
def style(models: Models, hub: StandIn, tmp_path: Path) -> Path:
    """A file of kohya's for the first matrix of a model, also as ``me/style``."""
    name, weight = next(
        (name, one) for name, one in load(models[0]).items() if one.dim() == 2 and name.endswith(".weight")
    )
    module = f"lora_{name.removesuffix('.weight').replace('.', '_')}"
    rows, columns = weight.shape
    factors = {f"{module}.lora_down.weight": torch.randn(2, columns), f"{module}.lora_up.weight": torch.randn(rows, 2)}
    path = save(tmp_path / "disk" / "style" / "style.safetensors", factors)
    hub.models = {**hub.models, "me/style": repository(path.parent)}
    hub.files = {**hub.files, "style.safetensors": path.read_bytes()}
    return path


def test_places(models: Models, style: Path, hub: StandIn, here: Path, cli: Cli) -> None:
    assert cli("passthrough", f"{models[0]}+{style}=0.8", "-o", "local", "--quiet").code == 0
    filesystem = fsspec.filesystem("memory")
    filesystem.put(str(style), "/more/style.safetensors")
    commit = commit_of(files_in(style.parent))
    places = ["me/style", f"hf:me/style@{commit}", "hf://me/style/style.safetensors"]
    places += [f"{hub.url}/files/style.safetensors", "memory://more/style.safetensors"]
    try:
        for number, place in enumerate(places):
            found = cli("passthrough", f"me/a+{place}=0.8", "-o", f"out{number}", "--quiet")
            assert found.code == 0, (place, found.err)
            assert {**files_in(here / f"out{number}"), "README.md": b""} == {
                **files_in(here / "local"),
                "README.md": b"",
            }
            verified = cli("verify", f"out{number}")
            assert verified.code == 0, (place, verified.err)
    finally:
        filesystem.rm("/more", recursive=True)
    card = Path("out0/README.md").read_text()
    assert f"+me/style@{commit}=0.8`" in card
    assert "- me/style\n" in card


def test_a_repository_of_several_files(models: Models, style: Path, hub: StandIn, here: Path, cli: Cli) -> None:
    save(style.with_name("other.safetensors"), load(style))
    hub.models = {**hub.models, "me/style": repository(style.parent)}
    assert_refused(cli("inspect", "me/a+me/style=0.8"), 2, "2 files", "hf://org/name/other.safetensors")
    assert cli("inspect", "me/a+hf://me/style/other.safetensors=0.8").code == 0
