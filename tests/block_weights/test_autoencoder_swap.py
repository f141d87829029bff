"""Putting another VAE into a model: from a file of its own, from another model, from a diffusers folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import load, metadata_of, save
from command_line import assert_refused
from diffusion_layouts import write_model

PREFIX = "first_stage_model."
SWAP = ["--base", "a.safetensors", "--missing", "base", "-o", "o.safetensors"]


@pytest.fixture
def autoencoders(trained: Path) -> Path:
    """The VAE of model B: alone with ldm's names in float32, and in a diffusers folder."""
    parts = {name: tensor for name, tensor in load(trained / "b.safetensors").items() if name.startswith(PREFIX)}
    save(trained / "vae.safetensors", {name.removeprefix(PREFIX): part.float() for name, part in parts.items()})
    write_model(trained / "folder", "sd1", "diffusers", seed=1)
    return trained


def assert_swapped(here: Path) -> None:
    a, b, found = (load(here / f"{name}.safetensors") for name in ("a", "b", "o"))
    assert list(found) == list(a)
    for name, tensor in found.items():
        assert torch.equal(tensor, (b if name.startswith(PREFIX) else a)[name]), name


@pytest.mark.parametrize("vae", ["vae.safetensors", "folder/vae"])
def test_a_vae_of_its_own_file(autoencoders: Path, cli: Callable[..., Any], vae: str) -> None:
    result = cli("passthrough", vae, *SWAP)
    assert result.code == 0, result.err
    assert "248 tensors" in result.out + result.err
    assert_swapped(autoencoders)
    found = metadata_of(autoencoders / "o.safetensors")
    assert found["modelspec.architecture"] == "stable-diffusion-v1"
    assert found["modelspec.title"] == "Model A (merged)"
    assert "repeats" in cli("verify", "o.safetensors").out


def test_the_vae_of_another_model(autoencoders: Path, cli: Callable[..., Any]) -> None:
    result = cli("join", "b.safetensors", "a.safetensors", "--matches", "block:VAE,*", "-o", "o.safetensors")
    assert result.code == 0, result.err
    a, b, found = (load(autoencoders / f"{name}.safetensors") for name in ("a", "b", "o"))
    assert set(found) == set(a)
    for name, tensor in found.items():
        assert torch.equal(tensor, (b if name.startswith(PREFIX) else a)[name]), name


def test_a_vae_of_another_size(autoencoders: Path, cli: Callable[..., Any]) -> None:
    parts = load(autoencoders / "vae.safetensors")
    parts["decoder.conv_in.weight"] = torch.zeros(3, 4, 3, 3)
    save(autoencoders / "vae.safetensors", parts)
    assert_refused(cli("passthrough", "vae.safetensors", *SWAP), 1, "decoder.conv_in.weight", "different in shape")
