"""A file of JSON lines to which every finding is added at once, so that it outlives the process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import MergeError
from ..json_text import parse_json


class LineFile:
    """JSON objects, one a line, all of which begin with the same key.

    Args:
        path: The file; made with the first line.
        what: What it keeps, for messages: ``scores``.
        key: The first key of every line, by which the file is known.
        flag: The flag that names the file.
    """

    def __init__(self, path: Path, what: str, key: str, flag: str) -> None:
        self.path, self._what, self._key, self._flag = path, what, key, flag

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield what the file holds; a line that a crash cut off is passed over.

        Raises:
            MergeError: The file cannot be read, or holds something else.
        """
        if not self.path.exists():
            return
        try:
            lines = self.path.read_text("utf-8", "replace").splitlines()
        except OSError as error:
            raise MergeError(f"the {self._what} cannot be read: {error.strerror}", where=str(self.path)) from None
        if lines and not lines[0].startswith(f'{{"{self._key}": '):
            what = f"the file holds something else than {self._what}"
            raise MergeError(what, where=str(self.path), hint=f"name another one with {self._flag}")
        for line in lines:
            try:
                row = parse_json(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                yield row

    def check(self) -> None:
        """Raise MergeError when nothing could be added."""
        place = self.path if self.path.exists() else self.path.parent
        if not self.path.parent.is_dir() or not os.access(place, os.W_OK):
            hint = f"name another file with {self._flag}"
            raise MergeError(f"the {self._what} cannot be kept there", where=str(self.path), hint=hint)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a line, and wait until the disk has it. Raises MergeError when it cannot be written."""
        try:
            with self.path.open("a+b") as stream:
                stream.write((b"\n" if _is_cut_off(stream) else b"") + json.dumps(row).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise MergeError(f"the {self._what} cannot be kept: {error.strerror}", where=str(self.path)) from None


def _is_cut_off(stream: BinaryIO) -> bool:
    """Tell whether the last line of a file has no end."""
    if not stream.seek(0, os.SEEK_END):
        return False
    stream.seek(-1, os.SEEK_END)
    return stream.read(1) != b"\n"
