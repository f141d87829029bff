"""Targets: checkpoints, the indexes of their files, and what lies beside them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fuzz_forms import BYTES, HEADER, JSON, member
from fuzz_target import Target, state, write, write_json


def read_checkpoint(name: str, folder: Path) -> None:
    """Open a checkpoint by its headers, read its configuration and all its bytes."""
    from merge.checkpoints.resolve import open_checkpoint
    from merge.inspection import inspect

    opened = open_checkpoint(name)
    try:
        dict(opened.config)
        for tensor in opened.tensors.values():
            opened.read_into(tensor, 0, memoryview(bytearray(tensor.nbytes)))
    finally:
        opened.close()
    inspect(name, values=True)


def _one(folder: Path) -> None:
    write(folder / "model.safetensors", state(), {"merge.output": "0" * 32, "about": '{"a": [1]}'})


def _shards(folder: Path) -> None:
    found = state()
    names = sorted(found)
    for number, part in enumerate((names[:3], names[3:]), 1):
        write(folder / "model" / f"model-{number}.safetensors", {name: found[name] for name in part})
    shards = {name: f"model-{1 + (number > 2)}.safetensors" for number, name in enumerate(names)}
    write_json(folder / "model" / "model.safetensors.index.json", {"metadata": {"total_size": 9}, "weight_map": shards})


def _archive(folder: Path, *, old: bool = False) -> None:
    import torch

    content = {"state_dict": state(), "epoch": 3, "lr": 0.1, "args": {"names": ["a", "b"], "on": True}}
    torch.save(content, folder / "model.pt", _use_new_zipfile_serialization=not old)


def _archives(folder: Path) -> None:
    import torch

    found = state()
    names = sorted(found)
    (folder / "model").mkdir()
    for number, part in enumerate((names[:3], names[3:]), 1):
        torch.save({name: found[name] for name in part}, folder / "model" / f"pytorch_model-{number}.bin")
    shards = {name: f"pytorch_model-{1 + (number > 2)}.bin" for number, name in enumerate(names)}
    write_json(folder / "model" / "pytorch_model.bin.index.json", {"weight_map": shards})


def _pipeline(folder: Path) -> None:
    library = ["diffusers", "UNet2DConditionModel"]
    content = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.35", "unet": library}
    content |= {"text_encoder": ["transformers", "CLIPTextModel"], "safety_checker": [None, None], "on": True}
    write_json(folder / "model" / "model_index.json", content)
    write(folder / "model" / "unet" / "diffusion_pytorch_model.safetensors", state())
    write(folder / "model" / "text_encoder" / "model.safetensors", state(1))
    write_json(folder / "model" / "unet" / "config.json", {"sample_size": 8})


def _modules(folder: Path) -> None:
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Router", "type": "sentence_transformers.models.Router"},
        {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
    ]
    write_json(folder / "model" / "modules.json", modules)
    types = {"query_0_Dense": "sentence_transformers.models.Dense.Dense", "document_0_Pool": "x.Pooling"}
    write_json(folder / "model" / "1_Router" / "router_config.json", {"types": types, "structure": {"query": ["a"]}})
    write_json(folder / "model" / "config.json", {"model_type": "bert"})
    write(folder / "model" / "model.safetensors", state())
    for name in ("1_Router/query_0_Dense", "2_Dense"):
        write(folder / "model" / name / "model.safetensors", state(1))


_read = partial(read_checkpoint, "model")
CHECKPOINTS = (
    Target(
        "safetensors-header",
        "model.safetensors",
        HEADER,
        _one,
        partial(read_checkpoint, "model.safetensors"),
        ("inspect", "model.safetensors"),
    ),
    Target("shard-index", "model/model.safetensors.index.json", JSON, _shards, _read, ("inspect", "model")),
    Target(
        "torch-archive",
        "model.pt",
        member("data.pkl"),
        _archive,
        partial(read_checkpoint, "model.pt"),
        ("inspect", "model.pt"),
    ),
    Target("torch-before-1.6", "model.pt", BYTES, partial(_archive, old=True), partial(read_checkpoint, "model.pt")),
    Target("torch-index", "model/pytorch_model.bin.index.json", JSON, _archives, _read, ("inspect", "model")),
    Target("pipeline-index", "model/model_index.json", JSON, _pipeline, _read, ("inspect", "model")),
    Target("module-list", "model/modules.json", JSON, _modules, _read, ("inspect", "model")),
    Target("router-config", "model/1_Router/router_config.json", JSON, _modules, _read),
)
