"""The made layouts are the real ones: diffusers' and transformers' own classes, built without memory, say so."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from diffusion_layouts import FAMILIES, component_config, layout

from merge.checkpoints.header import TensorInfo
from merge.diffusion.families import family_of
from merge.diffusion.modules import Place, diffusers_names

# Tensors of the UNet, the VAE and the text encoders, as published.
COUNTS = {
    ("sd1", "unet"): 686,
    ("sd1", "vae"): 248,
    ("sd1", "text_encoder"): 196,
    ("sd2", "unet"): 686,
    ("sd2", "vae"): 248,
    ("sd2", "text_encoder"): 372,
    ("sdxl", "unet"): 1680,
    ("sdxl", "vae"): 248,
    ("sdxl", "text_encoder"): 196,
    ("sdxl", "text_encoder_2"): 517,
    ("sdxl-refiner", "unet"): 1220,
    ("sdxl-refiner", "vae"): 248,
    ("sdxl-refiner", "text_encoder_2"): 517,
}
# Of single files: with the noise schedule (without counters of moving averages), or as sgm saves them.
SINGLE_FILES = {"sd1": 1143, "sd2": 1240, "sdxl": 2515, "sdxl-refiner": 1858}


def infos(shapes: dict[str, tuple[int, ...]]) -> dict[str, TensorInfo]:
    return {name: TensorInfo(name, "F16", shape, 0, 0, 0) for name, shape in shapes.items()}


def places(family: str, style: str, scale: int = 1) -> dict[str, Place]:
    return diffusers_names(infos(layout(family, style, scale)))


def built(family: str, component: str) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of a component as the library that owns it builds it."""
    config = component_config(family, component, scale=1)
    library, name = {
        "unet": ("diffusers", "UNet2DConditionModel"),
        "vae": ("diffusers", "AutoencoderKL"),
        "text_encoder": ("transformers", "CLIPTextModel"),
        "text_encoder_2": ("transformers", "CLIPTextModelWithProjection"),
    }[component]
    kind: Any = getattr(importlib.import_module(library), name)
    with torch.device("meta"):
        if library == "diffusers":
            model = kind.from_config(config)
        else:
            config_class = importlib.import_module(library).CLIPTextConfig
            kept = {key: value for key, value in config.items() if key not in ("architectures", "model_type")}
            model = kind(config_class(**kept))
    state = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if component == "text_encoder" and not any(name.startswith("text_model.") for name in state):
        return {f"text_model.{name}": shape for name, shape in state.items()}  # transformers 5 drops the first word
    return state


@pytest.mark.parametrize(("family", "component"), COUNTS)
def test_a_component_has_the_names_and_shapes_of_its_class(family: str, component: str) -> None:
    wanted = built(family, component)
    front = f"{component}."
    made = {n.removeprefix(front): s for n, s in layout(family, "diffusers", 1).items() if n.startswith(front)}
    assert made == wanted
    assert len(made) == COUNTS[family, component]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_single_file_has_the_published_number_of_tensors(family: str) -> None:
    assert len(layout(family, "ldm", 1)) == SINGLE_FILES[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_table_covers_every_tensor_of_diffusers_layout(family: str) -> None:
    wanted = layout(family, "diffusers", 1)
    found = {name: place.shape for name, place in places(family, "ldm").items()}
    assert {name: found[name] for name in wanted} == wanted
    assert {name: place.shape for name, place in places(family, "diffusers").items()} == wanted


@pytest.mark.parametrize("family", FAMILIES)
def test_every_row_of_a_single_file_is_one_row_of_diffusers_layout(family: str) -> None:
    shapes = layout(family, "ldm", 1)
    taken: dict[str, list[tuple[int, int]]] = {}
    for place in places(family, "ldm").values():
        length = shapes[place.name][0] if shapes[place.name] else 1
        rows = place.rows or slice(0, length)
        taken.setdefault(place.name, []).append((rows.start, rows.stop))
    outside = {name for name in shapes if "." not in name}  # the noise schedule
    assert set(taken) == set(shapes) - outside
    for name, rows in taken.items():
        ends = [0, *(stop for _, stop in sorted(rows))]
        assert [start for start, _ in sorted(rows)] == ends[:-1]
        assert ends[-1] == (shapes[name][0] if shapes[name] else 1)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("style", ["ldm", "diffusers"])
@pytest.mark.parametrize("scale", [1, 64])
def test_families_are_recognised_at_any_size(family: str, style: str, scale: int) -> None:
    found = family_of(infos(layout(family, style, scale)))
    assert found is not None
    assert (found.name, found.variant, found.layout) == (family, "", style)
