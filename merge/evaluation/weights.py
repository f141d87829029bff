"""The tensors of a checkpoint as torch wants them: a file, or a folder in one piece or in shards."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MergeError

if TYPE_CHECKING:
    from torch import Tensor

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


def weight_files(model: str) -> list[Path]:
    """Return the safetensors files of a checkpoint, sorted by name.

    Args:
        model: A safetensors file with any suffix, or a folder with ``model.safetensors`` or an index of shards.

    Raises:
        MergeError: There is no such checkpoint, or a shard of it is missing.
    """
    path = Path(model)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise MergeError("no such checkpoint", where=model, hint="a safetensors file or a folder is expected")
    if (path / INDEX).is_file():
        return _shards(path)
    if (path / SINGLE).is_file():
        return [path / SINGLE]
    raise MergeError(f"the folder holds neither {SINGLE} nor {INDEX}", where=model)


def read_tensors(files: list[Path]) -> dict[str, Tensor]:
    """Read every tensor of the files into memory.

    Raises:
        MergeError: A file is damaged or not in the safetensors format.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            tensors.update(load_file(file))
        except (SafetensorError, OSError) as error:
            raise MergeError(f"cannot be read as safetensors: {error}", where=str(file)) from None
    return tensors


def identity(files: list[Path]) -> str:
    """Return ``sha256:…`` of the files one after another: what ``cat FILES | sha256sum`` prints."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def _shards(folder: Path) -> list[Path]:
    where = str(folder / INDEX)
    try:
        names = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError):
        raise MergeError("not an index of shards", where=where) from None
    files = sorted(folder / name for name in names)
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        raise MergeError(f"missing shards: {', '.join(absent)}", where=where)
    return files
