"""The files of an output, filled by several processes that see the same folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..planning.rows import Row
from .files import Buffer, WriteFile

if TYPE_CHECKING:
    from ..plan import Plan


@dataclass(frozen=True)
class FilesOpener:
    """Opens the files of an output in another process.

    Attributes:
        paths: Where they are built.
        starts: Where the data of each begin.
    """

    paths: Sequence[Path]
    starts: Sequence[int]

    def __call__(self, plan: Plan) -> HandedFiles:
        """Open them; their headers are the first process's business."""
        sizes = [start + file.nbytes for start, file in zip(self.starts, plan.files, strict=True)]
        files = [WriteFile(path, size, keep=True) for path, size in zip(self.paths, sizes, strict=True)]
        return HandedFiles(files, self.starts)


class OpenFiles:
    """The files of an output, opened for writing.

    Args:
        files: The files.
        starts: Where the data of each begin.
    """

    def __init__(self, files: Sequence[WriteFile], starts: Sequence[int]) -> None:
        self._files, self._starts = files, starts

    def write(self, row: Row, offset: int, buffer: Buffer) -> None:
        """Write bytes of a row at their final place."""
        self._files[row.file].write(self._starts[row.file] + row.begin + offset, buffer)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


class HandedFiles(OpenFiles):
    """The files of an output, opened in another process."""

    def hand_over(self) -> None:
        """Do nothing: the bytes are where they belong."""


class HandedNothing:
    """No output, in another process: digests are all that is wanted."""

    def __init__(self, plan: Plan) -> None:
        pass

    def write(self, row: Row, offset: int, buffer: Buffer) -> None:
        """Do nothing."""

    def hand_over(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
