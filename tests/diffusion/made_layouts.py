"""Models of the tests in this folder, and how outputs are compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from checkpoint_files import State, load
from command_line import Result
from diffusion_layouts import write_model

Cli = Callable[..., Result]


def model(folder: Path, family: str, style: str, seed: int, **more: object) -> Path:
    name = f"{family}-{seed}-{style}" + (".safetensors" if style == "ldm" else "")
    return write_model(folder / name, family, style, seed=seed, **more)  # type: ignore[arg-type]


def components(folder: Path) -> State:
    """Return the tensors of a diffusers folder, the component in front of their names."""
    found: State = {}
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        found |= {f"{part.name}.{name}": tensor for name, tensor in load(part).items()}
    return found


def same(found: State, wanted: State) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name
