"""A finished output on this machine: which of its files go to the hub, and what its card gives away."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..card import MARK
from ..checkpoints.checkpoint import OUR_KEY
from ..checkpoints.companions import CARD, component_folders
from ..checkpoints.remote.reference import is_url
from ..checkpoints.resolve import local_path, open_checkpoint
from ..checkpoints.staging import is_unfinished
from ..checkpoints.target import entries, is_known
from ..errors import MergeError, UsageError

_LOCAL = re.compile(r"^\| [^|]* \| `(\.[^`]*)` \|", re.MULTILINE)


class Finished(NamedTuple):
    """An output that can be pushed.

    Attributes:
        path: Where it is.
        files: Its files by the names that they get on the hub, weights first, the card last.
        left_out: Names beside them that no merge wrote.
        local: Paths of this machine that the card names.
    """

    path: Path
    files: dict[str, Path]
    left_out: list[str]
    local: list[str]

    @property
    def nbytes(self) -> int:
        """Size of all files together."""
        return sum(path.stat().st_size for path in self.files.values())


def read_finished(location: str) -> Finished:
    """Look at an output.

    Raises:
        UsageError: There is none on this machine, or it is no output of a merge.
        MergeError: Its merge was stopped, it is damaged, or its card is missing.
    """
    path = local_path(location)
    if is_unfinished(path):
        raise MergeError("its merge was stopped before the end", where=location, hint="--resume finishes it")
    if not path.exists():
        hint = "copy it to this machine first" if is_url(location) else None
        raise UsageError("no such file or folder on this machine", where=location, hint=hint)
    weights = _weights(location)
    card = path / CARD if path.is_dir() else path.with_name(f"{path.name}.md")
    text = _card(card)
    names = {file.relative_to(path).as_posix() if path.is_dir() else file.name: file for file in weights}
    left_out: list[str] = []
    if path.is_dir():
        within = component_folders(path)
        beside = {name: entry for name, entry in sorted(entries(path, "", within)) if name not in names}
        names |= {name: entry for name, entry in beside.items() if _goes_along(name, entry, within)}
        left_out = [name for name in beside if name not in names]
    names = {name: file for name, file in names.items() if file != card} | {CARD: card}
    return Finished(path, names, left_out, sorted(set(_LOCAL.findall(text))))


def _weights(location: str) -> list[Path]:
    opened = open_checkpoint(location)
    try:
        if OUR_KEY not in opened.metadata:
            hint = "the hub's own tool takes anything: hf upload"
            raise UsageError("this is no output of a merge: its metadata names none", where=location, hint=hint)
        return opened.files
    finally:
        opened.close()


def _goes_along(name: str, entry: Path, within: Sequence[str]) -> bool:
    return entry.is_file() and not name.endswith(".safetensors") and is_known(name, within)


def _card(path: Path) -> str:
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError):
        text = ""
    if MARK not in text:
        what = "there is no model card of a merge" if not os.path.lexists(path) else "this is no model card of a merge"
        raise MergeError(what, where=str(path), hint="merge again with --force, or put the card back")
    return text
