"""One file elsewhere, of which any range of bytes can be read."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import xxhash

from ..checkpoint import NO_DEVICE, FileIdentity
from ..files import Buffer, ReadFile

CHANGED = "the file changed while it was read"


class Start(NamedTuple):
    """The first bytes of a file, and how many there are in all."""

    data: bytes
    size: int


class RemoteFile(Protocol):
    """A file elsewhere.

    Attributes:
        where: What stands for it in messages.
    """

    where: str

    @property
    def address(self) -> str:
        """The file's whole address, spelled in one way."""

    def start(self, count: int) -> Start:
        """Read up to so many bytes from the beginning, and learn the size.

        Raises:
            MergeError: It is not there, or cannot be read.
        """

    def read_into(self, start: int, buffer: Buffer) -> None:
        """Fill the buffer from this offset. Raises MergeError when that fails for good or the file has changed."""

    def identity(self) -> FileIdentity:
        """Return what tells whether it is still the same file."""

    @property
    def doubt(self) -> str | None:
        """What cannot be told of it while it is read, in words for a note; its first bytes must have been read."""

    def check_unchanged(self) -> None:
        """Raise MergeError when it is no longer what was read."""

    def close(self) -> None:
        """Stop whatever still tries to read it."""


def identify(address: str, version: str, size: int) -> FileIdentity:
    """Return the identity of a file by its address and what the store says of its version."""
    number = xxhash.xxh3_64_intdigest(f"{address}\0{version}".encode())
    return FileIdentity(address.rpartition("/")[2], size, 0, NO_DEVICE, number)


class CachedFile:
    """A file elsewhere of which a copy lies in the cache of this machine."""

    def __init__(self, path: Path, address: str, version: str, where: str) -> None:
        self.where, self._path = where, path
        self._address, self._version = address, version
        self._file = ReadFile(path, where)

    @property
    def address(self) -> str:
        """The address of the file elsewhere."""
        return self._address

    def start(self, count: int) -> Start:
        """Read up to so many bytes from the beginning, and learn the size."""
        size = self._path.stat().st_size
        data = bytearray(min(count, size))
        self._file.read_into(0, memoryview(data))
        return Start(bytes(data), size)

    def read_into(self, start: int, buffer: Buffer) -> None:
        """Fill the buffer from this offset."""
        self._file.read_into(start, buffer)

    def identity(self) -> FileIdentity:
        """Return the identity of the file elsewhere."""
        return identify(self._address, self._version, self._path.stat().st_size)

    @property
    def doubt(self) -> str | None:
        """None: a copy does not change."""
        return None

    def check_unchanged(self) -> None:
        """Do nothing: the cache keeps files by their content."""

    def close(self) -> None:
        """Close the copy."""
        self._file.close()
