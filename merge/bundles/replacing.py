"""May a bundle be written to a path? What stands there is only replaced where merge wrote all of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..checkpoints.companions import is_companion
from ..errors import MergeError, UsageError
from .copying import COMMON, WEIGHTS
from .document import FILE, MEMBERS, read_document


def check_out(out: Path, inputs: Sequence[Path], force: bool) -> None:
    """Refuse a path where something stands that would be lost.

    Args:
        out: The bundle's folder to be.
        inputs: Files and folders that are read.
        force: Whether a bundle that stands there may be replaced.

    Raises:
        UsageError: Something is in the way.
    """
    where = str(out)
    if out.suffix in {".st", ".safetensors"}:
        raise UsageError("a bundle is a folder, not a file", where=where, hint="give a path without that suffix")
    place = out.resolve()
    if any(place == one.resolve() or place in one.resolve().parents for one in inputs):
        raise UsageError("the output holds one of the members", where=where, hint="choose another --out")
    if not os.path.lexists(out):
        return
    if not force:
        raise UsageError("the output exists", where=where, hint="--force replaces a bundle")
    for name in _foreign(out):
        raise UsageError(f"holds '{name}', which no bundle has", where=where, hint=_ELSEWHERE)


_ELSEWHERE = "move it away, or choose another --out"


def _foreign(out: Path) -> Iterator[str]:
    """Yield what a bundle holds that merge did not write. Raises UsageError where there is no bundle."""
    try:
        document = read_document(out)
    except MergeError:
        raise UsageError("what stands there is no bundle", where=str(out), hint=_ELSEWHERE) from None
    copied = {one["path"] for one in document["members"] if one["copied"]}
    for entry in out.iterdir():
        if entry.name not in {FILE, MEMBERS} and not is_companion(entry.name):
            yield entry.name
    for path in sorted((out / MEMBERS).rglob("*")):
        name, folder = path.relative_to(out).as_posix(), path.parent.relative_to(out).as_posix()
        of_member = folder in copied and (path.name == WEIGHTS or is_companion(path.name))
        if name not in copied and not (name == COMMON and copied) and not of_member:
            yield name
