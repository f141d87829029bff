"""Tells sources elsewhere what will be read of them and in which order, so that they can ask ahead for just that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from .checkpoint import Source
from .header import TensorInfo
from .part import PartSource

if TYPE_CHECKING:
    from ..planning.rows import Row


@runtime_checkable
class Foresighted(Protocol):
    """A source that makes use of knowing what comes."""

    tensors: Mapping[str, TensorInfo]

    def expect(self, tensors: Iterable[TensorInfo], *, again: bool) -> None:
        """Prepare for the reading of these tensors in this order, and for whether they are read more than once."""


def announce(rows: Sequence[Row], sources: Sequence[Source], *, again: bool) -> None:
    """Tell every source that makes use of it which of its tensors will be read, in order.

    Args:
        rows: What is computed, in order.
        sources: What the rows read, by position.
        again: Whether methods look at the tensors before they merge them.
    """
    for origin in {id(found): found for found in map(_origin, sources)}.values():
        if not isinstance(origin, Foresighted):
            continue
        own = [number for number, source in enumerate(sources) if _origin(source) is origin]
        if all(_passes_on(sources[number]) for number in own):
            read = [tensor for row in rows for number in own if (tensor := row.tensors[number]) is not None]
            origin.expect(read, again=again)
        else:  # a source that computes its tensors reads what it needs, and some of it twice
            announce_again(origin)


def announce_again(source: Source) -> None:
    """Tell a source that all of it will be read, and some more than once."""
    origin = _origin(source)
    if isinstance(origin, Foresighted):
        in_order = sorted(origin.tensors.values(), key=lambda tensor: (tensor.file, tensor.start))
        origin.expect(in_order, again=True)


def _origin(source: Source) -> Source:
    """Return the checkpoint at the bottom."""
    below: Source | None = getattr(source, "source", None)
    return source if below is None else _origin(below)


def _passes_on(source: Source) -> bool:
    """Tell whether a source's tensors are those of the checkpoint beneath it, at the same places."""
    return _passes_on(source.source) if isinstance(source, PartSource) else not hasattr(source, "source")
