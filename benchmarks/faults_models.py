"""The tiny models, data and specs that the campaign of faults merges."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

NETWORK = '''"""A network for images of 8 x 8 pixels, whose hidden units may stand in any order."""

import torch
from torch import Tensor, nn


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 16)
        self.second = nn.Linear(16, 16)
        self.head = nn.Linear(16, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(torch.relu(self.second(torch.relu(self.first(pixels)))))

    def example_inputs(self) -> tuple[Tensor]:
        return (torch.zeros(1, 64),)
'''
BENCHMARK = """name: digits
kind: classification
data: {path: images.npz, images: x, labels: y}
"""
_SHAPES = {"first": (16, 64), "second": (16, 16), "head": (10, 16)}
_TENSORS = {"embed.weight": (64, 32), **{f"layers.{n}.{name}.weight": (32, 32) for n in range(4) for name in "qkv"}}
_TEXTS = {
    "generation_config.json": {"max_length": 20},
    "tokenizer_config.json": {"model_max_length": 128, "note": "größer"},
    "tokenizer.json": {"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}}},
    "config.json": {"model_type": "llama", "hidden_size": 32, "torch_dtype": "bfloat16"},
}


def make_inputs(folder: Path) -> Path:
    """Write networks ``base.st``, ``a.st``, ``b.st``, ``c.st``, folders ``A``, ``B``, images and a benchmark."""
    folder.mkdir()
    (folder / "network.py").write_text(NETWORK)
    (folder / "digits.yaml").write_text(BENCHMARK)
    draws = np.random.default_rng(0)
    np.savez(folder / "images.npz", x=draws.integers(0, 256, (24, 8, 8), dtype=np.uint8), y=draws.integers(0, 10, 24))
    for seed, name in enumerate(("base", "a", "b", "c")):
        save_file(network(seed), folder / f"{name}.st")
    for seed, name in enumerate("AB"):
        _save_folder(folder / name, seed)
    return folder


def network(seed: int) -> dict[str, torch.Tensor]:
    """Return a network's weights near those of seed 0."""
    draws = torch.Generator().manual_seed(0)
    own = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in _SHAPES.items():
        for part, size in ((f"{name}.bias", shape[:1]), (f"{name}.weight", shape)):
            state[part] = torch.randn(size, generator=draws) / 4 + 0.02 * seed * torch.randn(size, generator=own)
    return state


def _save_folder(folder: Path, seed: int) -> None:
    folder.mkdir()
    draws = torch.Generator().manual_seed(seed)
    tensors = {name: torch.randn(shape, generator=draws).to(torch.bfloat16) for name, shape in _TENSORS.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    for name, content in _TEXTS.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False), "utf-8")
