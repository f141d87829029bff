"""Single-file adapters as kohya's trainer and LyCORIS write them, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from checkpoint_files import State, save
from diffusion_layouts import Named, tensors

PREFIXES = {"unet": "lora_unet_", "text_encoder": "lora_te_", "text_encoder_2": "lora_te2_"}


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def pair(module: str, shape: tuple[int, ...], rank: int = 2, seed: int = 0, alpha: float | None = 1.0) -> State:
    """Return the factors of a module whose weight has this shape, [outputs, inputs, kernel …]."""
    kernel = [1] * len(shape[2:])
    found = {
        f"{module}.lora_down.weight": normal(rank, *shape[1:], seed=seed),
        f"{module}.lora_up.weight": normal(shape[0], rank, *kernel, seed=seed + 1),
    }
    return found | ({} if alpha is None else {f"{module}.alpha": torch.tensor(alpha)})


def added(state: State, module: str, scaling: float) -> torch.Tensor:
    """Return what the factors of a module add to its weight, in float64."""
    down, up = state[f"{module}.lora_down.weight"].double(), state[f"{module}.lora_up.weight"].double()
    return scaling * (up.flatten(1) @ down.flatten(1)).reshape(up.shape[0], *down.shape[1:])


def adapted_layers(family: str) -> Iterator[Named]:
    """Yield the weights of a family that trainers adapt: linear layers and convolutions of UNet and text encoders."""
    for named in tensors(family):
        name = named.diffusers or ""
        outside = name.startswith("vae.") or ".embeddings." in name or "text_projection" in name
        if name.endswith(".weight") and len(named.shape) > 1 and not outside:
            yield named


def kohya_name(named: Named, family: str, *, sgm: bool = False) -> str:
    """Return what a trainer calls a module."""
    component, _, name = (named.diffusers or "").removesuffix(".weight").partition(".")
    prefix = PREFIXES[component]
    if family == "sdxl" and component == "text_encoder":
        prefix = "lora_te1_"
    if sgm and component == "unet":
        name = (named.ldm or "").removeprefix("model.diffusion_model.").removesuffix(".weight")
    return prefix + name.replace(".", "_")


def write_pair(folder: Path, state: State, adapter: State, metadata: dict[str, str] | None = None) -> str:
    """Write a base and an adapter and return the location of both."""
    save(folder / "base.safetensors", state)
    save(folder / "lora.safetensors", adapter, metadata)
    return f"{folder / 'base.safetensors'}+{folder / 'lora.safetensors'}"
