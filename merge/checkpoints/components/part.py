"""The components of a checkpoint, as far as the planner and the writer need to know them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ..checkpoint import FileCheckpoint

SAFETY_CHECKER = "safety_checker"


class Part(NamedTuple):
    """One component with weights.

    Attributes:
        folder: Its folder within; empty for the folder itself.
        prefix: What stands in front of the names of its tensors.
        source: Its own checkpoint, whose names have no prefix.
    """

    folder: str
    prefix: str
    source: FileCheckpoint

    @property
    def weights_name(self) -> str:
        """Name of its file of weights."""
        return self.source.weights_name

    def said(self, note: str) -> str:
        """Return a note on it as one on the whole."""
        return f"{self.folder}: {note}" if self.folder else note


def parts_of(source: Any) -> Sequence[Part]:
    """Return the components of a source, or of what it is made from; nothing where it is one model."""
    while source is not None:
        parts: Sequence[Part] = getattr(source, "parts", ())
        if parts:
            return parts
        source = getattr(source, "source", None)
    return ()


def library_of(source: Any) -> str | None:
    """Return the library that loads the folder of a source, where it is one of components."""
    while source is not None:
        library: str | None = getattr(source, "library", None)
        if library:
            return library
        source = getattr(source, "source", None)
    return None


def part_of(name: str, parts: Iterable[Part]) -> Part | None:
    """Return the component that a tensor belongs to by its name: of several, the one with the longest prefix."""
    fitting = [part for part in parts if name.startswith(part.prefix)]
    return max(fitting, key=lambda part: len(part.prefix), default=None)
