"""What pages take for granted: small models, data and benchmarks under the names that the pages give them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from adapters.made_adapters import write_adapter
from checkpoint_files import load, random_state, save
from diffusion_layouts import layout, write_model
from evaluation.tiny_language_models import make_llama
from evaluation.tiny_language_models import save as save_model

CLASSES = 10
ADAPTED = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
NETWORK = """import torch


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = torch.nn.Module()
        self.model.layers = torch.nn.ModuleList([torch.nn.Linear(64, 16), *(torch.nn.Linear(16, 16) for _ in range(2))])
        self.head = torch.nn.Linear(16, 10)

    def example_inputs(self):
        return (torch.zeros(2, 64),)

    def forward(self, pixels):
        for layer in self.model.layers:
            pixels = torch.relu(layer(pixels.flatten(1)))
        return self.head(pixels)
"""


def digit_model(seed: int, moved: float = 0.05) -> Any:
    """Return a vision transformer for 8 x 8 grey images, moved a little from the start that all of them share."""
    from merge.demo.training import new_model

    model, generator = new_model(0), torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data += moved * bool(seed) * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def digit_models(folder: Path, names: Iterable[str]) -> None:
    """Write digit models as folders; the first is the one that the others were moved from."""
    for seed, name in enumerate(names):
        digit_model(seed).save_pretrained(folder / name)


def digit_networks(folder: Path, names: Iterable[str]) -> None:
    """Write networks of a class of one's own, ``model.py:Network``, as single files."""
    (folder / "model.py").write_text(NETWORK)
    found: dict[str, Any] = {}
    exec(NETWORK, found)
    for seed, name in enumerate(names):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            save(folder / f"{name}.st", found["Network"]().state_dict())


def benchmarks(folder: Path, names: Iterable[str], items: int = 40) -> None:
    """Write benchmarks of random 8 x 8 images with labels."""
    for seed, name in enumerate(names):
        images = np.random.default_rng(seed).integers(0, 256, (items, 8, 8), dtype=np.uint8)
        np.savez(folder / f"{name}.npz", images=images, labels=np.arange(items) % CLASSES)
        (folder / f"{name}.yaml").write_text(f"name: {name}\nkind: classification\ndata: {{path: {name}.npz}}\n")


def llamas(folder: Path, names: Iterable[str], **changes: Any) -> None:
    """Write small Llamas with a tokenizer."""
    for seed, name in enumerate(names):
        save_model(make_llama(seed, **changes), folder / name)


def bare_models(folder: Path, names: Iterable[str], stacks: str = "model.layers") -> None:
    """Write folders that hold one file of tensors in numbered blocks, and nothing else."""
    for seed, name in enumerate(names):
        tensors = enumerate(random_state(seed).values())
        save(folder / name / "model.safetensors", {f"{stacks}.{number}.mlp.weight": one for number, one in tensors})


def diffusion_models(folder: Path) -> None:
    """Write Stable Diffusion in every form: single files, folders of diffusers, a VAE, a LoRA."""
    for seed, name in enumerate(("sd15", "dreamy", "photo")):
        write_model(folder / f"{name}.safetensors", "sd1", seed=seed, ema=name == "dreamy")
    for seed, name in enumerate(("sd15-diffusers", "dream-diffusers", "tuned-diffusers")):
        write_model(folder / name, "sd1", "diffusers", seed=seed)
    for seed, name in enumerate(("xl-a", "xl-b")):
        write_model(folder / f"{name}.safetensors", "sdxl", seed=seed)
    front, parts = "first_stage_model.", load(folder / "photo.safetensors")
    vae = {name.removeprefix(front): part for name, part in parts.items() if name.startswith(front)}
    save(folder / "vae.safetensors", vae)
    outputs, inputs = layout("sd1", "diffusers")[f"unet.{ADAPTED}.weight"]
    lora = {"lora_down.weight": torch.randn(2, inputs), "lora_up.weight": torch.randn(outputs, 2)}
    module = f"lora_unet_{ADAPTED.replace('.', '_')}"
    save(folder / "style.safetensors", {f"{module}.{name}": factor for name, factor in lora.items()})


def readme(folder: Path) -> None:
    """Write everything that the README names."""
    digit_models(folder, ("base", "a", "b", "c", "tuned", "soup", "out"))
    digit_networks(folder, ("base", "a", "b", "tuned", "expert"))
    benchmarks(folder, ("a", "b", "held-out", "test"))
    llamas(folder, ("llama-a", "llama-b"))
    llamas(folder, ("llama",), num_hidden_layers=32)
    for seed, name in enumerate(("lora-a", "lora-b")):
        generator = torch.Generator().manual_seed(seed)
        shapes = {"layers.0.q.lora_A.weight": (2, 4), "layers.0.q.lora_B.weight": (6, 2)}
        write_adapter(folder / name, {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()})
    for seed, name in enumerate(("sdxl-a", "sdxl-b")):
        write_model(folder / f"{name}.st", "sdxl", seed=seed)
    (folder / "recipe.yaml").write_text(
        "merge: soup\nmodels: [{model: ./a, weight: {search: [0, 1]}}, {model: ./b, weight: 0.5}]\n"
    )


def copied(world: Path, folder: Path) -> None:
    """Copy a world into the folder of a test, which may write over it."""
    shutil.copytree(world, folder, dirs_exist_ok=True)
