"""Checkpoints of diffusion models with the real, complete names, and channels divided so that they are tiny.

Every module is walked once and named twice, after ldm/sgm and after diffusers, independently of the table in `merge`;
the names of diffusers are checked against its own classes by tests/diffusion/test_real_layouts.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from checkpoint_files import State, save
from diffusion_autoencoders import autoencoder
from diffusion_configs import CLASSES, component_config
from diffusion_sizes import FAMILIES, SCALE, SCHEDULE, Named, Shape
from diffusion_texts import clip, open_clip
from diffusion_unets import unet

__all__ = [
    "FAMILIES",
    "SCALE",
    "SCHEDULE",
    "STYLES",
    "Named",
    "component_config",
    "layout",
    "random_model",
    "tensors",
    "write_folder",
    "write_model",
]
STYLES = ("ldm", "diffusers")


def layout(
    family: str, style: str = "ldm", scale: int = SCALE, *, channels_in: int = 4, ema: bool = False
) -> dict[str, Shape]:
    """Return the names and shapes of a family's checkpoint.

    Args:
        family: ``sd1``, ``sd2``, ``sdxl`` or ``sdxl-refiner``.
        style: ``ldm`` for a single file with all of its buffers, ``diffusers`` for a folder's components with the
            component in front of every name.
        scale: What all widths are divided by; 1 for the real ones.
        channels_in: Of the first convolution: 9 for inpainting, 8 for instruct-pix2pix.
        ema: Whether there are moving averages beside the UNet's weights (ldm only).
    """
    sizes = FAMILIES[family]
    found: dict[str, Shape] = {}
    if style == "ldm" and sizes.buffers:
        found |= dict.fromkeys(SCHEDULE, (1000,))
    for named in tensors(family, scale, channels_in):
        name, shape = (named.ldm, named.other or named.shape) if style == "ldm" else (named.diffusers, named.shape)
        if name is not None:
            found[name] = _fused(found.get(name), shape) if name.endswith(("in_proj_weight", "in_proj_bias")) else shape
    if ema:
        unet = {name: shape for name, shape in found.items() if name.startswith("model.diffusion_model.")}
        found |= {"model_ema." + name.removeprefix("model.").replace(".", ""): shape for name, shape in unet.items()}
        found |= {"model_ema.decay": (), "model_ema.num_updates": ()}
    return found


def _fused(known: Shape | None, shape: Shape) -> Shape:
    return shape if known is None else (known[0] + shape[0], *shape[1:])


def tensors(family: str, scale: int = SCALE, channels_in: int = 4) -> Iterator[Named]:
    """Yield every tensor of a family with both of its names; the rows of a fused one one after the other."""
    sizes = FAMILIES[family]
    yield from _prefixed(unet(sizes, scale, channels_in), "model.diffusion_model.", "unet.")
    yield from _prefixed(autoencoder(scale), "first_stage_model.", "vae.")
    if sizes.clip:
        yield from _prefixed(clip(768 // scale, 12, scale), f"{sizes.clip}transformer.", "text_encoder.")
    if sizes.open_clip:
        dropped = family == "sd2"  # diffusers leaves out the last layer, whose outcome nothing looks at
        text = open_clip(sizes.open_width // scale, sizes.open_layers, scale, dropped=dropped)
        yield from _prefixed(text, f"{sizes.open_clip}model.", f"{sizes.open_component}.")


def _prefixed(named: Iterator[Named], ldm: str, diffusers: str) -> Iterator[Named]:
    for one in named:
        yield one._replace(
            ldm=None if one.ldm is None else ldm + one.ldm,
            diffusers=None if one.diffusers is None else diffusers + one.diffusers,
        )


def random_model(
    family: str,
    style: str = "ldm",
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float16,
    scale: int = SCALE,
    channels_in: int = 4,
    ema: bool = False,
) -> State:
    """Return a model's tensors; the same seed gives the same model in either style."""
    generator = torch.Generator().manual_seed(seed)
    state: State = {}
    for named in tensors(family, scale, channels_in):
        values = _values(named, generator, dtype)
        if style == "diffusers" and named.diffusers is not None:
            state[named.diffusers] = values
        elif style == "ldm" and named.ldm is not None:
            state[named.ldm] = _as_ldm(named, values, state.get(named.ldm))
    if style == "ldm":
        state = _with_buffers(state, layout(family, style, scale, channels_in=channels_in, ema=ema), generator, dtype)
    return state


def _values(named: Named, generator: torch.Generator, dtype: torch.dtype) -> torch.Tensor:
    if (named.ldm or "").endswith("position_ids"):
        return torch.arange(77)[None]
    return (torch.randn(named.shape, generator=generator) * 0.2).to(dtype)


def _as_ldm(named: Named, values: torch.Tensor, above: torch.Tensor | None) -> torch.Tensor:
    if named.other is not None:
        return values.reshape(named.other)
    if named.ldm is not None and named.ldm.endswith("model.text_projection"):
        return values.T.contiguous()
    return values if above is None else torch.cat([above, values])


def _with_buffers(state: State, wanted: dict[str, Shape], generator: torch.Generator, dtype: torch.dtype) -> State:
    found: State = {}
    for name, shape in wanted.items():
        if name in state:
            found[name] = state[name]
        elif name == "model_ema.num_updates":
            found[name] = torch.tensor(3)
        elif name == "model_ema.decay":
            found[name] = torch.tensor(0.9999)
        elif name in SCHEDULE:
            found[name] = torch.linspace(0, 1, 1000)
        else:
            found[name] = torch.rand(shape, generator=generator).to(dtype)
    return found


def write_model(
    path: Path,
    family: str,
    style: str = "ldm",
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float16,
    scale: int = SCALE,
    channels_in: int = 4,
    ema: bool = False,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a model: a single file (``ldm``), or a diffusers folder of components (``diffusers``)."""
    state = random_model(family, style, seed=seed, dtype=dtype, scale=scale, channels_in=channels_in, ema=ema)
    if style == "ldm":
        return save(path, state, metadata)
    return write_folder(path, state, family, scale=scale, channels_in=channels_in)


def write_folder(path: Path, state: State, family: str, *, scale: int = SCALE, channels_in: int = 4) -> Path:
    """Write tensors with the component in front of their names as a diffusers folder without tokenizers."""
    index: dict[str, object] = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.42.1"}
    if family.startswith("sdxl"):
        index["_class_name"] = "StableDiffusionXLPipeline"
    for component, (library, name, file) in CLASSES.items():
        part = {
            key.removeprefix(f"{component}."): value for key, value in state.items() if key.startswith(f"{component}.")
        }
        if part:
            index[component] = [library, name]
            save(path / component / file, part, {"format": "pt"})
            config = component_config(family, component, scale, channels_in)
            (path / component / "config.json").write_text(json.dumps(config, indent=2))
    (path / "model_index.json").write_text(json.dumps(index, indent=2))
    return path
