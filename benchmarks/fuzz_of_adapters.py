"""Targets: what adapters say of themselves."""

from __future__ import annotations

from pathlib import Path

from fuzz_forms import HEADER, JSON, metadata
from fuzz_of_checkpoints import read_checkpoint
from fuzz_target import Target, state, write, write_json

CONFIG = {
    "peft_type": "LORA",
    "r": 2,
    "lora_alpha": 6,
    "target_modules": ["w"],
    "bias": "none",
    "fan_in_fan_out": False,
    "use_rslora": False,
    "use_dora": False,
    "init_lora_weights": True,
    "rank_pattern": {"layers.1.w": 2},
    "alpha_pattern": {"layers.1.*": 4},
    "modules_to_save": ["embed"],
    "base_model_name_or_path": "me/base",
    "trainable_token_indices": None,
    "layer_replication": None,
}


def _folder(folder: Path) -> None:
    import torch

    embedding = state()["embed.weight"]
    write(
        folder / "base.st",
        {f"layers.{layer}.w.weight": torch.ones(4, 4) for layer in range(2)} | {"embed.weight": embedding},
    )
    tensors = {"base_model.model.embed.weight": torch.ones(6, 4)}
    for layer in range(2):
        tensors |= {f"base_model.model.layers.{layer}.w.lora_A.weight": torch.ones(2, 4)}
        tensors |= {f"base_model.model.layers.{layer}.w.lora_B.weight": torch.ones(4, 2)}
    write(folder / "adapter" / "adapter_model.safetensors", tensors)
    write_json(folder / "adapter" / "adapter_config.json", CONFIG)


def _base(folder: Path) -> None:
    import torch

    write(folder / "base.st", {f"layers.{layer}.w.weight": torch.ones(4, 4) for layer in range(2)})


def _kohya(folder: Path) -> None:
    import torch

    _base(folder)
    tensors = {}
    for layer in range(2):
        name = f"lora_layers_{layer}_w"
        tensors |= {f"{name}.lora_down.weight": torch.ones(2, 4), f"{name}.lora_up.weight": torch.ones(4, 2)}
        tensors |= {f"{name}.alpha": torch.tensor(1.0)}
    write(folder / "adapter.safetensors", tensors, {"ss_network_dim": "2", "ss_tag_frequency": "{}"})


def _diffusers(folder: Path) -> None:
    import json

    import torch

    write(folder / "base.st", {f"unet.layers.{layer}.w.weight": torch.ones(4, 4) for layer in range(2)})
    tensors = {}
    for layer in range(2):
        name = f"unet.layers.{layer}.w"
        tensors |= {f"{name}.lora_A.weight": torch.ones(2, 4), f"{name}.lora_B.weight": torch.ones(4, 2)}
    said = {"unet.r": 2, "unet.lora_alpha": 4, "unet.rank_pattern": {}, "unet.alpha_pattern": {}}
    said["unet.use_rslora"] = False
    write(folder / "adapter.safetensors", tensors, {"lora_adapter_metadata": json.dumps(said)})


def _read_folder(folder: Path) -> None:
    read_checkpoint("base.st+adapter", folder)


def _read_file(folder: Path) -> None:
    read_checkpoint("base.st+adapter.safetensors=0.5", folder)


ADAPTERS = (
    Target(
        "adapter-config",
        "adapter/adapter_config.json",
        JSON,
        _folder,
        _read_folder,
        ("inspect", "base.st+adapter"),
    ),
    Target("adapter-header", "adapter.safetensors", HEADER, _kohya, _read_file),
    Target(
        "adapter-metadata",
        "adapter.safetensors",
        metadata("lora_adapter_metadata"),
        _diffusers,
        _read_file,
        ("inspect", "base.st+adapter.safetensors"),
    ),
)
