"""The table against diffusers' own conversion of single files, on models of the real structure."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from checkpoint_files import State
from diffusers.loaders import single_file_utils as conversion
from diffusion_layouts import FAMILIES, component_config, random_model

from merge.checkpoints.header import TensorInfo
from merge.diffusion.modules import Place, diffusers_names

# By family: a text encoder ▸ where its tensors are in a single file.
OPEN_CLIP = {
    "sd2": ("text_encoder", "cond_stage_model.model."),
    "sdxl": ("text_encoder_2", "conditioner.embedders.1.model."),
    "sdxl-refiner": ("text_encoder_2", "conditioner.embedders.0.model."),
}
CLIP = {"sd1": "cond_stage_model.transformer.", "sdxl": "conditioner.embedders.0.transformer."}


def read(state: State, place: Place) -> torch.Tensor:
    """Return a tensor of diffusers' layout as its place says."""
    tensor = state[place.name]
    if place.rows is not None:
        tensor = tensor[place.rows]
    return (tensor.T if place.transposed else tensor).reshape(place.shape)


def component(family: str, name: str) -> tuple[State, State]:
    """Return a single file's tensors, and a component of it as the table finds it there."""
    state = random_model(family, "ldm", seed=3)
    infos = {key: TensorInfo(key, "F16", tuple(value.shape), 0, 0, 0) for key, value in state.items()}
    places = diffusers_names(infos)
    return state, {k.removeprefix(f"{name}."): read(state, p) for k, p in places.items() if k.startswith(f"{name}.")}


def agree(found: State, wanted: State) -> None:
    assert wanted
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("family", FAMILIES)
def test_the_unet(family: str) -> None:
    state, found = component(family, "unet")
    config: dict[str, Any] = component_config(family, "unet")
    wanted = conversion.convert_ldm_unet_checkpoint(dict(state), config)
    agree(found, wanted)
    assert found.keys() == wanted.keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_vae(family: str) -> None:
    state, found = component(family, "vae")
    wanted = conversion.convert_ldm_vae_checkpoint(dict(state), component_config(family, "vae"))
    agree(found, wanted)
    assert found.keys() == wanted.keys()


@pytest.mark.parametrize("family", CLIP)
def test_the_text_encoder_of_clip(family: str) -> None:
    state, found = component(family, "text_encoder")
    wanted = conversion.convert_ldm_clip_checkpoint(dict(state), CLIP[family])
    agree(found, {name: tensor for name, tensor in wanted.items() if name.startswith("text_model.")})
    assert found.keys() == wanted.keys()


@pytest.mark.parametrize("family", OPEN_CLIP)
def test_the_text_encoder_of_open_clip(family: str) -> None:
    name, prefix = OPEN_CLIP[family]
    state, found = component(family, name)
    width = state[f"{prefix}ln_final.weight"].shape[0]
    model = SimpleNamespace(config=SimpleNamespace(hidden_size=width))
    wanted = conversion.convert_open_clip_checkpoint(model, dict(state), prefix=prefix)
    wanted = {key.removeprefix("transformer."): value for key, value in wanted.items()}
    agree(found, wanted)
    left = set(found) - set(wanted)  # what diffusers leaves out of the second generation, and what nothing looks at
    assert all("layers.23." in key or key in ("logit_scale", "text_projection.weight") for key in left)
