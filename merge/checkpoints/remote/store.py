"""What a place elsewhere offers: names of files, files by range, and small files as a whole."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from .file import RemoteFile


class Store(Protocol):
    """A folder elsewhere."""

    @property
    def where(self) -> str:
        """What stands for it in messages."""

    @property
    def origin(self) -> str | None:
        """What the card names, or None where that is what the user wrote."""

    @property
    def names(self) -> Sequence[str]:
        """The files in it, without those of folders within."""

    @property
    def notes(self) -> list[str]:
        """What a reader should know."""

    def file(self, name: str) -> RemoteFile:
        """Return one of its files, to be read by ranges."""

    def stated_hashes(self) -> Mapping[str, str]:
        """Return the sha256 of its files by their addresses, as far as it states them."""

    def fetch(self, names: Sequence[str]) -> Path:
        """Bring small files, one at least, here and return their folder. Raises MergeError when that fails."""


def temporary_folder() -> Path:
    """Return a new folder that goes when the process does, since models that are loaded may need it to the end."""
    folder = tempfile.TemporaryDirectory(prefix="merge-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    return Path(folder.name)
