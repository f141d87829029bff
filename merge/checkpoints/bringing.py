"""Single files beside the weights of a source: of one elsewhere no more is brought here than is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from .beside import Beside
from .checkpoint import Source
from .companions import CARD, is_left_out, names_beside
from .derived import whole


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


def stated_hashes(source: Source) -> Mapping[str, str]:
    """Return the sha256 of a source's files by their addresses, where a store elsewhere states it."""
    ask: Callable[[], Mapping[str, str]] | None = getattr(source, "stated_hashes", None)
    return ask() if ask else {}
