"""Prompt embeddings kept between runs, under a hash of everything that they depend on."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    from torch import Tensor

    from .text_tower import TextTower

FORMAT = "1"  # raise it when the meaning of a file changes
NAME, DIGEST = "embeddings", "digest"


def cache_folder() -> Path:
    """Return the folder for embeddings: under ``MERGE_CACHE``, else under the system's folder for caches."""
    if own := os.environ.get("MERGE_CACHE"):
        return Path(own).expanduser() / "heads"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "merge" / "heads"


def cache_key(tower: TextTower, tokens: Mapping[str, Tensor], groups: int, device: str) -> str:
    """Return the hash of what embeddings depend on, so that no cached file is ever out of date.

    Args:
        tower: Its weights and configuration.
        tokens: What the tokenizer made of class names and templates, hence of the tokenizer too.
        groups: How many templates there are for each class.
        device: Kinds of devices round differently, as do versions of torch.
    """
    import torch

    found = xxhash.xxh3_128(f"{FORMAT} {torch.__version__} {device.partition(':')[0]} {groups}\n".encode())
    found.update(tower.architecture.encode())
    for part in (tower.tensors, tokens):
        for name in sorted(part):
            found.update(f"\n{name} {part[name].dtype} {list(part[name].shape)}\n".encode())
            found.update(_raw(part[name]))
    return found.hexdigest()


def read_cached(key: str) -> Tensor | None:
    """Return what is kept under a key; None where there is nothing, or the file is damaged."""
    from safetensors import SafetensorError, safe_open

    path = cache_folder() / f"{key}.safetensors"
    with suppress(OSError, SafetensorError, KeyError, ValueError), safe_open(path, framework="pt") as file:
        tensor: Tensor = file.get_tensor(NAME)
        if (file.metadata() or {}).get(DIGEST) == _digest(tensor):
            return tensor
    return None


def write_cached(key: str, embeddings: Tensor) -> None:
    """Keep a tensor under a key. A folder that cannot be written to costs time later, and nothing else."""
    from safetensors.torch import save

    content = save({NAME: embeddings.contiguous()}, metadata={DIGEST: _digest(embeddings)})
    with suppress(OSError):
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / f"{key}.safetensors", content)


def _replace(path: Path, content: bytes) -> None:
    """Write a file in one step, so that a run that is killed, or another beside it, leaves no half of one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def _digest(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} {xxhash.xxh3_128_hexdigest(_raw(tensor))}"


def _raw(tensor: Tensor) -> memoryview:
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")
