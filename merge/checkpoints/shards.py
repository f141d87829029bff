"""The index of a checkpoint in several files: which file holds which tensor."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import MergeError
from .checkpoint import read_json_object


def surplus(shard: str, name: str) -> str:
    """Return the note on a tensor that a shard holds and the index does not give to it."""
    return f"{shard} holds '{name}', which the index does not give to it; not read"


def read_weight_map(index: Path) -> dict[str, str]:
    """Return the shard of every tensor, as an index lists them.

    Raises:
        MergeError: It lists none.
    """
    weight_map = read_json_object(index).get("weight_map")
    if (
        not isinstance(weight_map, dict)
        or not weight_map
        or not all(isinstance(shard, str) for shard in weight_map.values())
    ):
        raise MergeError("has no 'weight_map' from tensor to file name", where=str(index))
    return weight_map


def refuse_outside(shard: str, index: Path | str) -> None:
    """Refuse the name of a shard that lies outside its folder. Raises MergeError."""
    if shard != Path(shard).name or shard in {"", ".", ".."} or "\\" in shard:
        raise MergeError(f"names the file '{shard}' outside its folder", where=str(index))


def shard_path(path: Path, shard: str, index: Path) -> Path:
    """Return where a shard lies.

    Raises:
        MergeError: It lies outside the folder, or nowhere.
    """
    refuse_outside(shard, index)
    if not os.path.isfile(path / shard):  # noqa: PTH113 - which takes a name that is too long for a file that is not there
        raise MergeError(f"names the shard {shard}, which is missing", where=str(index), hint="download it again")
    return path / shard


def refuse_absent(weight_map: Mapping[str, str], found: Iterable[str], index: Path | str) -> None:
    """Refuse an index that gives a shard tensors which it does not hold.

    Raises:
        MergeError: Naming the first.
    """
    known = set(found)
    absent = [name for name in weight_map if name not in known]
    if absent:
        raise MergeError(
            f"names '{absent[0]}', which {weight_map[absent[0]]} does not hold ({len(absent)} such)", where=str(index)
        )
