"""Folders of components as diffusers and sentence-transformers write them, with a few tensors each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from checkpoint_files import State, save
from safetensors.torch import load_file

PIPELINE = {
    "unet": ("diffusers", "UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL"),
    "text_encoder": ("transformers", "CLIPTextModel"),
    "safety_checker": ("stable_diffusion", "StableDiffusionSafetyChecker"),
    "scheduler": ("diffusers", "DDIMScheduler"),
    "tokenizer": ("transformers", "CLIPTokenizer"),
}
_FILES = {"diffusers": "diffusion_pytorch_model", "transformers": "model", "stable_diffusion": "model"}
_SHAPES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "unet": {"conv_in.weight": (301, 257), "mid.weight": (24, 16), "mid.bias": (24,), "out.weight": (9, 9)},
    "vae": {"decoder.conv_in.weight": (8, 4, 3, 3), "decoder.conv_in.bias": (8,)},
    "text_encoder": {"encoder.layers.0.weight": (16, 16), "embeddings.weight": (30, 16)},
    "safety_checker": {"concept_embeds": (5, 4), "projection.weight": (4, 4)},
}


def states(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, State]:
    """Return the tensors of every component."""
    generator = torch.Generator().manual_seed(seed)
    return {
        component: {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}
        for component, shapes in _SHAPES.items()
    }


def write_pipeline(
    folder: Path, seed: int, *, without: tuple[str, ...] = ("safety_checker",), variant: str = "", pickled: str = ""
) -> Path:
    """Write a pipeline of diffusers.

    Args:
        folder: Where.
        seed: Of its values.
        without: Components that it has not.
        variant: In the names of its files of weights.
        pickled: A component that torch.save writes.
    """
    index: dict[str, Any] = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.42.1"}
    for name, kind in PIPELINE.items():
        index[name] = [None, None] if name in without else list(kind)
        if name not in without:
            _write_component(folder / name, kind[0], states(seed).get(name), variant, pickled == name)
    (folder / "model_index.json").write_text(json.dumps(index | {"requires_safety_checker": False}))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# a pipeline\n")
    return folder


def _write_component(folder: Path, library: str, state: State | None, variant: str, pickled: bool) -> None:
    folder.mkdir(parents=True)
    if state is None:
        name = "scheduler_config.json" if folder.name == "scheduler" else "tokenizer_config.json"
        (folder / name).write_text(json.dumps({"of": folder.name}))
        return
    (folder / "config.json").write_text(json.dumps({"of": folder.name}))
    stem = _FILES[library] + (f".{variant}" if variant else "")
    if pickled:
        torch.save(state, folder / f"{stem.removeprefix('model') or 'pytorch_model'}.bin")
    else:
        save(folder / f"{stem}.safetensors", state, {"format": "pt"})


def write_sentences(folder: Path, seed: int, *, dense: bool = True, pickled: bool = False) -> Path:
    """Write a sentence-transformer: a transformer, pooling and, unless told otherwise, a dense layer with weights."""
    generator = torch.Generator().manual_seed(seed)
    save(folder / "model.safetensors", {"encoder.weight": torch.randn((40, 16), generator=generator)}, {"format": "pt"})
    modules = {"": "Transformer", "1_Pooling": "Pooling"} | ({"2_Dense": "Dense"} if dense else {})
    for name in modules:
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "config.json").write_text(json.dumps({"of": name}))
    if dense:
        state = {"linear.weight": torch.randn((8, 16), generator=generator)}
        if pickled:
            torch.save(state, folder / "2_Dense" / "pytorch_model.bin")
        else:
            save(folder / "2_Dense" / "model.safetensors", state, {"format": "pt"})
    modules["3_Normalize"] = "Normalize"  # which has no files at all
    listed = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(modules.items())
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 32}')
    return folder


def in_components(folder: Path) -> State:
    """Return all tensors below a folder, read with the format's own library, with their folders in front."""
    return {
        ".".join([*path.relative_to(folder).parent.parts, name]): tensor
        for path in sorted(folder.rglob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def half_of_each(one: State, other: State) -> State:
    """Return the soup of two models, what only the first has and what is a safety checker's as the first has it."""
    kept = {name for name in one if name not in other or name.startswith("safety_checker.")}
    return {name: tensor if name in kept else tensor * 0.5 + other[name] * 0.5 for name, tensor in one.items()}


def paths(folder: Path) -> set[str]:
    """Return the names of all files below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def change_index(folder: Path, **components: Any) -> None:
    """Change what a pipeline's model_index.json says."""
    path = folder / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | components))
