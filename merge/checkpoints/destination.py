"""What writing needs of the place of an output, wherever it is: checks beforehand, and a way to build it there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..streaming.sink import SharedSink
from .address import OutputPath

if TYPE_CHECKING:
    from ..planning.layout import OutputFile
    from .checkpoint import Source


@dataclass(frozen=True)
class Intended:
    """What is going to be written, as far as it matters to a place.

    Attributes:
        sources: What is read.
        folder: Folder from which their local locations count; None is the current one.
        nbytes: Size of the output's tensors.
        is_folder: Whether a folder will be written.
        card: Where the card of a single file goes, beside it; None for a folder.
        mark: What a card of ours holds.
        force: Whether a former output of ours may be replaced.
        resume: Whether an unfinished run is to be continued.
        sha256: Whether whole files are to be hashed.
        rehearsal: Whether nothing will be written this time.
    """

    sources: Sequence[Source]
    folder: Path | None
    nbytes: int
    is_folder: bool
    card: OutputPath | None
    mark: str
    force: bool = False
    resume: bool = False
    sha256: bool = False
    rehearsal: bool = False


class OutputSink(SharedSink, Protocol):
    """The output's files of tensors while they are filled."""

    def finish(self, metadata: dict[str, str], *, sync: bool) -> None:
        """Enter the final metadata, of the rendered length of what they were opened with."""

    def close(self) -> None:
        """Close the files."""


class Building(Protocol):
    """An output on its way; nothing of it can be taken for an output before it is committed.

    Attributes:
        journal: Path of the journal.
        discarded: Whether an earlier, unfinished result was removed.
        can_resume: Whether a later run can continue what `leave` keeps.
    """

    journal: Path
    discarded: bool
    can_resume: bool

    def open(self, *, resume: bool) -> None:
        """Take the lock. Raises MergeError when another run builds the same output, or it cannot be written."""

    def restart(self) -> None:
        """Throw away after all what was to be continued."""

    def path(self, name: str) -> Path:
        """Return where a small file is built, or one that can be hashed; an empty name stands for their folder."""

    def is_continuable(self, files: Sequence[OutputFile], metadata: dict[str, str]) -> bool:
        """Tell whether what an earlier run wrote is still there."""

    def sink(self, files: Sequence[OutputFile], metadata: dict[str, str], *, keep: bool) -> OutputSink:
        """Return what takes the tensors; ``keep``: of an earlier run that is continued."""

    def commit(self, *, replace: bool, sync: bool, beside: Path | None = None) -> None:
        """Put the result in place; ``beside``: a file that goes beside a single file, before it."""

    def close(self) -> None:
        """Remove everything that was not committed and give the lock back."""

    def leave(self) -> None:
        """Give the lock back and keep everything for a later run."""


class Destination(Protocol):
    """The place of an output."""

    def check(self, intended: Intended) -> None:
        """Raise UsageError or MergeError for whatever would fail, or cost the user something, as far as is known."""

    def building(self) -> Building:
        """Return the output on its way, not begun."""


def destination(out: OutputPath, *, is_folder: bool) -> Destination:
    """Return the place of an output.

    Raises:
        UsageError: Nothing can be written there.
    """
    if isinstance(out, Path):
        from .local_destination import LocalDestination

        return LocalDestination(out, is_folder=is_folder)
    from .remote.writing.choosing import remote_destination

    return remote_destination(out, is_folder=is_folder)


def notes_on_discarded(*, discarded: bool, can_resume: bool = True) -> list[str]:
    """Return what to tell of an unfinished result that was removed, and how to keep the next one."""
    hint = " (--resume continues one)" if can_resume else ""
    return [f"an unfinished earlier run to this output was discarded{hint}"] * discarded
