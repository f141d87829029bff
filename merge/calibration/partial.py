"""The sums of an unfinished run, in a safetensors file of their own that is replaced as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import xxhash

from ..checkpoints.space import check_space
from ..errors import MergeError

if TYPE_CHECKING:
    from torch import Tensor


class Begun(NamedTuple):
    """What an earlier run has left: its sums, on the CPU, and what it noted besides."""

    tensors: dict[str, Tensor]
    notes: dict[str, Any]


def write_partial(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any], fingerprint: str) -> None:
    """Replace the file in one step.

    Raises:
        MergeError: It cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    check_space(path, sum(tensor.nbytes for tensor in kept.values()))
    said = json.dumps(dict(notes))
    metadata = {"fingerprint": fingerprint, "notes": said, "check": _hash(fingerprint, said)}
    new = path.with_name(path.name + ".new")
    try:
        save_file(kept, new, metadata)
        _sync(new)
        new.replace(path)
    except (OSError, SafetensorError) as error:
        raise MergeError(f"cannot save what was computed so far: {error}", where=str(path.parent)) from None


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_partial(path: Path) -> tuple[Begun, str | None]:
    """Return what an unfinished run left, and its fingerprint; None where there is nothing that can be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - it is no mapping
        said, fingerprint = metadata["notes"], metadata["fingerprint"]
        if metadata["check"] == _hash(fingerprint, said):
            return Begun(tensors, json.loads(said)), fingerprint
    except (OSError, SafetensorError, KeyError, ValueError):
        pass
    return Begun({}, {}), None


def _hash(fingerprint: str, notes: str) -> str:
    return xxhash.xxh3_64_hexdigest(f"{fingerprint}\n{notes}".encode())


def why_another(found: str | None, wanted: str) -> str | None:
    """Return why sums with this fingerprint cannot be continued, or None."""
    if found is None:
        return "no unfinished run to this output was found"
    if found == wanted:
        return None
    before, now = _parts(found), _parts(wanted)
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return f"what it depends on has changed: {', '.join(changed)}"


def _parts(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except ValueError:
        return {}
