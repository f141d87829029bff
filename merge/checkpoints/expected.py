"""Tells sources elsewhere what will be read of them and in which order, so that they can ask ahead for just that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from .checkpoint import Source
from .header import TensorInfo
from .part import PartSource
from .wrapped import WrappedCheckpoint

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
        if all(_is_read_once(sources[number]) for number in own):
            read = [(number, tensor) for row in rows for number in own if (tensor := row.tensors[number]) is not None]
            origin.expect((found for number, tensor in read for found in _behind(sources[number], tensor)), again=again)
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


def _is_read_once(source: Source) -> bool:
    """Tell whether all that is read of the checkpoint beneath is known, and read once."""
    if isinstance(source, WrappedCheckpoint) and not source.reads_in_order:
        return False
    if isinstance(source, PartSource | WrappedCheckpoint):
        return _is_read_once(source.source)
    return not hasattr(source, "source")


def _behind(source: Source, tensor: TensorInfo) -> list[TensorInfo]:
    """Return what is read of the checkpoint beneath for a tensor."""
    if isinstance(source, PartSource):
        return _behind(source.source, tensor)
    if isinstance(source, WrappedCheckpoint):
        return [found for part in source.behind(tensor) for found in _behind(source.source, part)]
    return [tensor]
