"""Small adapters in the form that PEFT writes, and what they make of a base, computed from the published formulas.

PEFT itself is no dependency, so the wanted values are written down here in float64: W + s·B·A (LoRA, arXiv 2106.09685),
s = alpha/r or alpha/√r (rsLoRA, arXiv 2312.03732), m · V/‖V‖ per output with V = W + s·B·A (DoRA, arXiv 2402.09353).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from checkpoint_files import State, save

PREFIX = "base_model.model."


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def base_state(dtype: torch.dtype = torch.float32) -> State:
    """Return the tensors of a model with every kind of layer that LoRA adapts."""
    shapes = {
        "layers.0.q.weight": (6, 4),
        "layers.0.q.bias": (6,),
        "layers.0.o.weight": (4, 4),
        "layers.1.q.weight": (6, 4),
        "layers.1.q.bias": (6,),
        "layers.1.o.weight": (4, 4),
        "embed.weight": (10, 4),
        "conv.weight": (5, 3, 2, 2),
        "norm.weight": (4,),
        "head.weight": (10, 4),
    }
    return {name: normal(*shape, seed=number).to(dtype) for number, (name, shape) in enumerate(shapes.items())}


def write_adapter(folder: Path, tensors: Mapping[str, torch.Tensor], **config: Any) -> Path:
    """Write an adapter as PEFT does: its tensors without the adapter's name, and its configuration."""
    save(folder / "adapter_model.safetensors", {PREFIX + name: tensor.clone() for name, tensor in tensors.items()})
    return configure(folder, **config)


def configure(folder: Path, **config: Any) -> Path:
    given = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_modules": ["q", "o", "embed", "conv"]} | config
    given = {"base_model_name_or_path": "me/base", "bias": "none", "fan_in_fan_out": False} | given
    (folder / "adapter_config.json").write_text(json.dumps(given))
    return folder


def factors(module: str, out: int, inner: int, rank: int = 2, seed: int = 50) -> State:
    """Return the two factors of a linear layer."""
    a, b = normal(rank, inner, seed=seed), normal(out, rank, seed=seed + 1)
    return {f"{module}.lora_A.weight": a, f"{module}.lora_B.weight": b}


def product(tensors: State, module: str, scaling: float) -> torch.Tensor:
    """Return s·B·A in float64."""
    a, b = tensors[f"{module}.lora_A.weight"], tensors[f"{module}.lora_B.weight"]
    return scaling * (b.double() @ a.double())


def assert_rounded(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Assert that values are those wanted, given in float64, rounded once: at most one step beside them."""
    assert found.shape == wanted.shape
    nearest = wanted.to(found.dtype)
    step = torch.finfo(found.dtype).eps * wanted.abs().clamp(min=torch.finfo(found.dtype).tiny)
    sums = 1e-6 * wanted.abs().max() if found.dtype not in (torch.float32, torch.float64) else 0  # float32 sums
    assert ((found.double() - nearest.double()).abs() <= step + sums).all()
