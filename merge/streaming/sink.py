"""Where output bytes go, also when several processes write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..checkpoints.files import Buffer
from ..planning.rows import Row

if TYPE_CHECKING:
    from ..plan import Plan


class Sink(Protocol):
    """Where output bytes go."""

    def write(self, row: Row, offset: int, buffer: Buffer) -> None:
        """Take bytes of a row, and of the rows that follow it in the file when the buffer is longer."""


class HandedSink(Sink, Protocol):
    """The same output, opened in another process that helps to fill it."""

    def hand_over(self) -> Any:
        """Return, picklable, what the first process must know of the bytes taken since the last call."""

    def close(self) -> None:
        """Close it; bytes that were not handed over may be lost."""


SinkOpener = Callable[["Plan"], HandedSink]


class SharedSink(Sink, Protocol):
    """A sink that other processes can help to fill.

    Attributes:
        whole_files: Whether one process has to write all of a file.
    """

    whole_files: bool

    def elsewhere(self) -> SinkOpener:
        """Return what opens this output in another process, picklable."""

    def take(self, handed: Any) -> None:
        """Take what a process handed over."""
