"""Single files beside the weights of a source: of one elsewhere no more is brought here than is asked for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from ..errors import MergeError
from .beside import Beside
from .checkpoint import Source
from .companions import CARD, is_left_out, names_beside
from .derived import whole

_SHA256 = re.compile("[0-9a-f]{64}")


def companion_of(source: Source, name: str) -> Path | None:
    """Return one file beside a checkpoint's weights, or None where there is no such file."""
    bring = getattr(whole(source), "companion", None)  # of a checkpoint elsewhere, this file alone is brought here
    if bring is not None:
        return cast("Path | None", bring(name))
    folder: Path | None = getattr(source, "folder", None)
    return folder / name if folder and (folder / name).is_file() else None


def names_planned(source: Source, beside: Beside) -> list[str]:
    """Return the names of all files that will stand beside the weights of an output, but the card."""
    listed: Sequence[str] | None = getattr(whole(source), "companion_names", None)
    if listed is None:
        return names_beside(getattr(source, "folder", None), beside)
    copied = {name for name in listed if name != CARD and not is_left_out(name, beside)}
    return sorted({*copied, *beside.files})


def hash_files(source: Source) -> None:
    """Have whole files elsewhere hashed while they are read from now on; those here are hashed at the end."""
    begin: Callable[[], None] | None = getattr(source, "hash_files", None)
    if begin is not None:
        begin()


def file_hashes(source: Source) -> Mapping[str, str]:
    """Return the sha256 of a source's files by their paths or addresses, after `hash_files`.

    Raises:
        MergeError: A file elsewhere, or a copy in the cache of the hub, is not what its store states.
    """
    finish: Callable[[], Mapping[str, str]] | None = getattr(source, "file_hashes", None)
    if finish is not None:
        return finish()
    files: Sequence[Path] = getattr(source, "files", ())
    return {str(path): hash_file(path) for path in files}


def hash_file(path: Path) -> str:
    """Return the sha256 of a file on this machine.

    Raises:
        MergeError: It lies in the cache of the hub under another sha256, which the hub stated.
    """
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    kept = path.resolve()
    if kept.parent.name == "blobs" and _SHA256.fullmatch(kept.name) and kept.name != found:
        hint = "remove it; it is then downloaded again"
        raise MergeError("the copy in the cache of the hub is damaged", where=str(kept), hint=hint)
    return found
