"""A single file behind an http address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import MergeError
from .checksums import Stated
from .file import RemoteFile
from .http_file import HttpFile
from .shown import shown
from .web_user import split_user


class WebFile:
    """A single file behind an address; nothing lies beside it."""

    def __init__(self, url: str) -> None:
        self.where = shown(url)
        self._url, self._secret = split_user(url)
        self.origin: str | None = None
        self.names: Sequence[str] = ()
        self.folders: Sequence[str] = ()
        self.notes: list[str] = []

    def within(self, folder: str) -> WebFile:
        """Return itself, which has nothing in it either way."""
        return self

    def file(self, name: str) -> RemoteFile:
        """Return the file, whatever its name."""
        return HttpFile(self._url, self.where, headers=self._secret)

    def stated_hashes(self, names: Sequence[str]) -> Mapping[str, Stated]:
        """Return nothing: there is no common way to ask for them."""
        return {}

    def fetch(self, names: Sequence[str]) -> Path:
        """Raise MergeError: there is nothing else."""
        raise MergeError(f"there is no {', '.join(names)} beside it", where=self.where)
