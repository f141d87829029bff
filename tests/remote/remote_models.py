"""Models to serve: larger than the first request, in one or several files, with what makes them a model."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from checkpoint_files import State, random_state, save
from command_line import Result
from fake_hub import files_in


def large_state(seed: int) -> State:
    """Return what is larger than the first request, with matrices of several sizes and small tensors between."""
    generator = torch.Generator().manual_seed(seed)
    state = random_state(seed)
    for layer in range(3):
        state[f"layers.{layer}.big.weight"] = torch.randn((700, 500), generator=generator).bfloat16()
        state[f"layers.{layer}.bias"] = torch.randn((500,), generator=generator).bfloat16()
    return dict(sorted(state.items()))


def model_folder(folder: Path, seed: int, *, shards: int = 1) -> Path:
    """Write a model: weights in one or several files, config, tokenizer, card."""
    state = large_state(seed)
    names = list(state)
    if shards == 1:
        save(folder / "model.safetensors", state, {"format": "pt"})
    else:
        files = {
            name: f"model-{number * shards // len(names) + 1:05}-of-{shards:05}.safetensors"
            for number, name in enumerate(names)
        }
        for file in sorted(set(files.values())):
            save(folder / file, {name: state[name] for name in names if files[name] == file}, {"format": "pt"})
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    (folder / "config.json").write_text(json.dumps({"architectures": ["Tiny"], "hidden_size": 16}))
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    (folder / "README.md").write_text(f"---\nlicense: {('mit', 'apache-2.0')[seed % 2]}\n---\n# model {seed}\n")
    return folder


def large_model(folder: Path, seed: int) -> Path:
    """Write a model of 24 MB in one file: enough for several pieces of work."""
    generator = torch.Generator().manual_seed(seed)
    save(
        folder / "model.safetensors",
        {name: torch.randn((2000, 2000), generator=generator).bfloat16() for name in "abc"},
    )
    return folder


def weights(folder: Path) -> int:
    """Return the bytes of a folder's files of weights."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def adapter_folder(folder: Path) -> Path:
    """Write a LoRA of rank 2 for one matrix of the models."""
    generator = torch.Generator().manual_seed(5)
    factors = {"lora_A": (2, 500), "lora_B": (700, 2)}
    tensors = {
        f"base_model.model.layers.0.big.{name}.weight": torch.randn(shape, generator=generator)
        for name, shape in factors.items()
    }
    save(folder / "adapter_model.safetensors", tensors)
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["big"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def assert_same(found: Result, local: Path, out: str = "out") -> None:
    """Assert the same folder, but for the card."""
    assert found.code == 0, found.err
    assert {**files_in(Path(out)), "README.md": b""} == {**files_in(local), "README.md": b""}
