"""Small checkpoints of 8-bit floats with scales, and what they stand for, dequantised in float64."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from checkpoint_files import State, save

CONFIG = {
    "model_type": "tiny",
    "torch_dtype": "bfloat16",
    "quantization_config": {
        "quant_method": "fp8",
        "fmt": "e4m3",
        "activation_scheme": "dynamic",
        "weight_block_size": [128, 128],
    },
}
# Ragged at both ends, at one, smaller than a block, exactly two blocks, a row, and wider than a lookup.
SHAPES = {"a": (300, 200), "b": (256, 130), "c": (5, 7), "d": (256, 256), "e": (1, 300), "f": (3, 300_001)}


def random_scaled(seed: int, scale_type: torch.dtype = torch.float32, block: tuple[int, int] = (128, 128)) -> State:
    """Return 8-bit weights, their scales, a norm and an embedding."""
    generator = torch.Generator().manual_seed(seed)
    state: State = {"norm.weight": torch.randn(64, generator=generator).bfloat16()}
    for name, shape in SHAPES.items():
        weight = torch.randn(shape, generator=generator) * 60
        state[f"{name}.weight"] = weight.clamp(-448, 448).to(torch.float8_e4m3fn)
        blocks = [-(-length // size) for length, size in zip(shape, block, strict=True)]
        state[f"{name}.weight_scale_inv"] = (torch.rand(blocks, generator=generator) * 0.01 + 1e-4).to(scale_type)
    return state | {"embed.weight": torch.randn(40, 64, generator=generator).bfloat16()}


def exact(weight: torch.Tensor, scale: torch.Tensor, block: tuple[int, int] = (128, 128)) -> torch.Tensor:
    """Return a weight times its scales in float64, in which the product is exact."""
    wide = scale.double()
    for axis, (size, length) in enumerate(zip(block, weight.shape, strict=True)):
        wide = wide.repeat_interleave(size, axis).narrow(axis, 0, length)
    return weight.double() * wide


def nearest(values: torch.Tensor) -> torch.Tensor:
    """Return bfloat16 by its definition: the nearest number of 8 significant bits, of two the one with an even last."""
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp(torch.round(mantissa * 2**8), exponent - 8).to(torch.bfloat16)


def plain(state: State, block: tuple[int, int] = (128, 128)) -> State:
    """Return the checkpoint that a scaled one stands for."""
    found = {}
    for name, tensor in state.items():
        scale = state.get(f"{name}_scale_inv")
        if scale is not None:
            found[name] = nearest(exact(tensor, scale, block))
        elif not name.endswith("_scale_inv"):
            found[name] = tensor
    return found


def save_model(folder: Path, state: State, config: dict[str, Any] | None = None, *, apart: bool = False) -> Path:
    """Write a model; ``apart``: weights in one shard and scales in another."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG if config is None else config))
    if not apart:
        save(folder / "model.safetensors", state)
        return folder
    parts = [{n: t for n, t in state.items() if n.endswith("_scale_inv") == scales} for scales in (False, True)]
    names = [f"model-{number}-of-2.safetensors" for number in (1, 2)]
    for name, part in zip(names, parts, strict=True):
        save(folder / name, part)
    weight_map = {tensor: name for name, part in zip(names, parts, strict=True) for tensor in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder
