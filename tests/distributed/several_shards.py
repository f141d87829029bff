"""Checkpoints of several shards, large enough to be shared by processes and small enough for a test."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from checkpoint_files import save

WIDTH = 256
LAYERS = 6


def state_of(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(torch.bfloat16)

    found = {"embed.weight": tensor(9000, WIDTH)}
    for layer in range(LAYERS):
        found[f"layers.{layer}.attention.weight"] = tensor(3 * WIDTH, WIDTH)
        found[f"layers.{layer}.mlp.weight"] = tensor(4 * WIDTH, WIDTH)
        found[f"layers.{layer}.norm.weight"] = tensor(WIDTH)
    return found | {"steps": torch.tensor([seed // 100])}


def make_model(folder: Path, seed: int, shards: int = 3) -> Path:
    """Write a model of so many shards with an index and a config."""
    state = state_of(seed)
    names = list(state)
    size = -(-len(names) // shards)
    weight_map = {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: state[name] for name in names[number * size : (number + 1) * size]}
        save(folder / file, part, {"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": sum(value.nbytes for value in state.values())}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    (folder / "config.json").write_text('{"model_type": "toy"}', "utf-8")
    return folder
