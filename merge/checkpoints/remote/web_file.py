"""A single file behind an http address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import MergeError
from .file import RemoteFile
from .http_file import HttpFile


class WebFile:
    """A single file behind an address; nothing lies beside it."""

    def __init__(self, url: str) -> None:
        self.where, self._url = url, url
        self.origin: str | None = None
        self.names: Sequence[str] = ()
        self.notes: list[str] = []

    def file(self, name: str) -> RemoteFile:
        """Return the file, whatever its name."""
        return HttpFile(self._url, self.where)

    def stated_hashes(self) -> Mapping[str, str]:
        """Return nothing: there is no common way to ask for them."""
        return {}

    def fetch(self, names: Sequence[str]) -> Path:
        """Raise MergeError: there is nothing else."""
        raise MergeError(f"there is no {', '.join(names)} beside it", where=self.where)
