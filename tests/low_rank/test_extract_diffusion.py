"""LoRAs of diffusion models: one file in kohya's form, from files and folders alike, baked to the tuned model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import assert_refused
from diffusion_layouts import random_model, write_folder, write_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file

Cli = Callable[..., Any]
State = dict[str, torch.Tensor]
FAMILIES = ("sd1", "sd2", "sdxl")
LINE = ("extract-lora", "tuned.safetensors", "--base", "base.safetensors", "-o", "lora.safetensors")


def changed(state: State, *, every: bool = True) -> State:
    """Return a model of which every weight of three axes or fewer, or only the attentions, differ by rank 2."""
    generator = torch.Generator().manual_seed(5)
    found = {}
    for name, tensor in state.items():
        is_wanted = every or "attn" in name
        if tensor.is_floating_point() and tensor.dim() in {2, 4} and is_wanted:
            rows = tensor.reshape(tensor.shape[0], -1)
            left = torch.randn(rows.shape[0], 2, generator=generator)
            found[name] = tensor + (0.02 * left @ torch.randn(2, rows.shape[1], generator=generator)).view(tensor.shape)
        else:
            found[name] = tensor
    return found


def write_pair(here: Path, family: str, **how: Any) -> tuple[State, State]:
    base = random_model(family, dtype=torch.float32)
    tuned = changed(base, **how)
    save_file(base, here / "base.safetensors")
    save_file(tuned, here / "tuned.safetensors")
    return base, tuned


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_extracted_is_found_again(here: Path, cli: Cli, family: str) -> None:
    base, tuned = write_pair(here, family)
    result = cli(*LINE, "--rank", 8, "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["energy"] > 0.999999
    assert cli("passthrough", "base.safetensors+lora.safetensors", "-o", "baked.safetensors").code == 0
    baked = load_file(here / "baked.safetensors")
    left = {one["tensor"] for one in document["left"]}
    for name, tensor in tuned.items():
        wanted = base[name] if name in left else tensor
        assert torch.allclose(baked[name].float(), wanted.float(), atol=2e-6), name
    held = [name for name in tuned if name not in left and not torch.equal(tuned[name], base[name])]
    networks = ("model.diffusion_model.", "cond_stage_model.", "conditioner.")
    assert all(name.startswith(networks) for name in held)
    others = ("first_stage_model.", "embed", "projection", "resblocks.23.")  # the last one is not looked at
    assert all(any(word in name for word in others) for name in left), left


@pytest.mark.parametrize("family", FAMILIES)
def test_diffusers_knows_every_key(here: Path, cli: Cli, family: str) -> None:
    from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_lora_to_diffusers

    write_pair(here, family, every=False)
    assert cli(*LINE, "--rank", 2).code == 0
    found = load_file(here / "lora.safetensors")
    count = len(found)
    converted, alphas = _convert_non_diffusers_lora_to_diffusers(dict(found))  # which refuses keys that it knows not
    assert len(converted) == 2 * len(alphas) == 2 * count // 3
    assert all(alpha == 2 for alpha in alphas.values())
    fronts = {key.split(".")[0] for key in converted}
    assert fronts == {"unet", "text_encoder"} | ({"text_encoder_2"} if family == "sdxl" else set())
    place = "down_blocks.1.attentions.0.transformer_blocks.0.attn1"
    ours = found[f"lora_unet_{place.replace('.', '_')}_to_q.lora_up.weight"]
    theirs = [value for name, value in converted.items() if name.startswith(f"unet.{place}.")]
    assert any(one.shape == ours.shape and torch.equal(ours, one) for one in theirs)


@pytest.mark.parametrize("family", FAMILIES)
def test_folders_and_files_give_the_same(here: Path, cli: Cli, family: str) -> None:
    base, other = (random_model(family, "diffusers", dtype=torch.float32) for _ in range(2))
    tuned = changed(other, every=False)
    write_folder(here / "base", base, family)
    write_folder(here / "tuned", tuned, family)
    assert cli("extract-lora", "tuned", "--base", "base", "--rank", 2, "-o", "folders.safetensors").code == 0
    write_model(here / "base.safetensors", family, dtype=torch.float32)
    mixed = cli("extract-lora", "tuned", "--base", "base.safetensors", "--rank", 2, "-o", "mixed.safetensors")
    assert mixed.code == 0, mixed.err
    one, two = (load_file(here / f"{name}.safetensors") for name in ("folders", "mixed"))
    assert one.keys() == two.keys()
    for name in one:
        if name.endswith("lora_up.weight"):
            down = name.replace("lora_up", "lora_down")
            first, second = (found[name].flatten(1) @ found[down].flatten(1) for found in (one, two))
            assert torch.allclose(first, second, atol=1e-5), name


def test_what_user_interfaces_read(here: Path, cli: Cli) -> None:
    write_pair(here, "sdxl", every=False)
    assert cli(*LINE, "--energy", 0.9, "--max-rank", 4, "--dtype", "float16", "--only", "lora_unet_*attn1*").code == 0
    with safe_open(here / "lora.safetensors", "pt") as file:
        metadata, keys = file.metadata(), list(file.keys())
        assert {file.get_tensor(key).dtype for key in keys if "lora_" in key.split(".")[1]} == {torch.float16}
    assert metadata["ss_network_module"] == "networks.lora"
    assert metadata["ss_base_model_version"].startswith("sdxl")
    assert metadata["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert all(key.startswith("lora_unet_") and "attn1" in key for key in keys)
    card = (here / "lora.safetensors.md").read_text()
    assert "merge passthrough ./base.safetensors+lora.safetensors" in card
    assert cli("verify", "lora.safetensors").code == 0
    assert cli(*LINE, "--rank", 2).code == 2
    assert cli(*LINE, "--rank", 2, "--force").code == 0


def test_refusals(here: Path, cli: Cli) -> None:
    write_pair(here, "sd1", every=False)
    short = LINE[:-2]
    assert_refused(cli(*short, "-o", "lora", "--rank", 2), 2, "lora: ", "one file", "-o lora.safetensors")
    assert_refused(cli(*LINE, "--rank", 2, "--whole", "auto"), 2, "--whole means nothing")
    write_model(here / "other.safetensors", "sdxl")
    other = ("extract-lora", "other.safetensors", "--base", "base.safetensors", "--rank", 2, "-o", "x.safetensors")
    assert_refused(cli(*other), 1, "SDXL", "Stable Diffusion 1")
    assert not (here / "x.safetensors").exists()
