"""What a place elsewhere offers: names of files, files by range, and small files as a whole."""

from __future__ import annotations

import atexit
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

from ...errors import MergeError, UsageError
from ..components.declared import is_within
from .checksums import Stated
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

    @property
    def folders(self) -> Sequence[str] | None:
        """The folders in it; None where the place does not list them."""

    def within(self, folder: str) -> Store:
        """Return a folder in it, by its name or by several with slashes between; one that is not there is empty."""

    def file(self, name: str) -> RemoteFile:
        """Return one of its files, to be read by ranges."""

    def stated_hashes(self, names: Sequence[str]) -> Mapping[str, Stated]:
        """Return checksums of its files by their names, as far as it states them. Raises MergeError."""

    def fetch(self, names: Sequence[str]) -> Path:
        """Bring small files, one at least, here and return the folder that stands for this one.

        Args:
            names: The files, also such of folders within.

        Raises:
            MergeError: That fails.
        """


MOST_BYTES = 2**29  # of a file beside weights; the largest known, a tokenizer's, is a tenth of that


def check_small(size: int, where: str) -> None:
    """Refuse a file beside weights that is far too large for one. Raises MergeError."""
    if size > MOST_BYTES:
        what = f"is larger than {MOST_BYTES // 2**20} MB, which no file beside weights is"
        raise MergeError(what, where=where, hint="is it what it should be?")


class FetchingStore(ABC):
    """A folder elsewhere whose small files are brought into a temporary folder, each once.

    Attributes:
        where: What stands for it in messages.
    """

    where: str

    @abstractmethod
    def _content(self, name: str) -> bytes:
        """Return a small file's bytes. Raises MergeError when it cannot be fetched."""

    @cached_property
    def _folder(self) -> Path:
        return temporary_folder()

    def stated_hashes(self, names: Sequence[str]) -> Mapping[str, Stated]:
        """Return nothing: there is no common way to ask for them."""
        return {}

    def fetch(self, names: Sequence[str]) -> Path:
        """Bring small files here and return their folder.

        Raises:
            MergeError: They cannot be fetched.
            UsageError: A name is that of a file somewhere else.
        """
        for name in names:
            if not is_within(name):
                raise UsageError(f"holds a file of the odd name {name!r}", where=self.where)
            copy = self._folder / name
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(self._content(name))
        return self._folder


def temporary_folder() -> Path:
    """Return a new folder that goes when the process does, since models that are loaded may need it to the end."""
    folder = tempfile.TemporaryDirectory(prefix="merge-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    return Path(folder.name)
