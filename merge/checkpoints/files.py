"""Positional reads and writes that finish or raise, from any number of threads at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import MergeError

Buffer = memoryview
_BINARY = getattr(os, "O_BINARY", 0)


class ReadFile:
    """One open input file. `read_into` may be called from several threads.

    Where the platform has no positional read (Windows), every thread gets a handle of its own.
    """

    def __init__(self, path: Path, where: str) -> None:
        self.path, self.where = path, where
        self._local = threading.local()
        self._handles: list[int] = []
        self._shared = self._open() if hasattr(os, "preadv") else None

    def _open(self) -> int:
        try:
            handle = os.open(self.path, os.O_RDONLY | _BINARY)
        except OSError as error:
            raise MergeError(f"cannot open it: {error.strerror}", where=self.where) from None
        self._handles.append(handle)
        return handle

    def read_into(self, offset: int, buffer: Buffer) -> None:
        """Fill the buffer from this offset.

        Raises:
            MergeError: When the file ends before, or the device reports an error.
        """
        done = 0
        try:
            while done < len(buffer):
                count = self._read(offset + done, buffer[done:] if done else buffer)
                if count == 0:
                    raise MergeError("the file became shorter while it was read", where=self.where)
                done += count
        except OSError as error:
            raise MergeError(f"cannot read it: {error.strerror}", where=self.where) from None

    def _read(self, offset: int, buffer: Buffer) -> int:
        if self._shared is not None:
            return os.preadv(self._shared, [buffer], offset)
        handle = getattr(self._local, "handle", None)
        if handle is None:
            handle = self._local.handle = self._open()
        os.lseek(handle, offset, os.SEEK_SET)
        data = os.read(handle, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close every handle; the object cannot be used afterwards."""
        while self._handles:
            os.close(self._handles.pop())


class WriteFile:
    """One output file of known size, written at any offset from any thread.

    The size is set first, so that a write in the middle allocates no more than it needs and a full disk or a
    size limit shows as an error at that write.
    """

    def __init__(self, path: Path, size: int, *, keep: bool = False) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | _BINARY | (0 if keep else os.O_TRUNC)
        self._lock = threading.Lock()
        try:
            self._handle = os.open(path, flags, 0o666)
            os.ftruncate(self._handle, size)
        except OSError as error:
            raise MergeError(f"cannot create it: {error.strerror}", where=str(path)) from None

    def write(self, offset: int, buffer: Buffer) -> None:
        """Write the whole buffer at this offset.

        Raises:
            MergeError: When the disk is full or the device reports an error.
        """
        done = 0
        try:
            while done < len(buffer):
                done += self._write(offset + done, buffer[done:] if done else buffer)
        except OSError as error:
            raise MergeError(f"cannot write the output: {error.strerror}", where=str(self.path)) from None

    def _write(self, offset: int, buffer: Buffer) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._handle, buffer, offset)
        with self._lock:
            os.lseek(self._handle, offset, os.SEEK_SET)
            return os.write(self._handle, buffer)

    def sync(self) -> None:
        """Return when the data are on the disk."""
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise MergeError(f"cannot write the output: {error.strerror}", where=str(self.path)) from None

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def sync_folder(path: Path) -> None:
    """Make a rename in this folder durable, where the platform lets a folder be synced."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_files(folder: Path) -> None:
    """Return when all files below a folder are on the disk."""
    for path in folder.iterdir():
        if path.is_dir():
            sync_files(path)
            continue
        handle = os.open(path, os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    sync_folder(folder)


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Say which output could not be written where the system does not. Raises MergeError."""
    try:
        yield
    except OSError as error:
        what = f"cannot write the output: {error.strerror or error}"
        raise MergeError(what, where=str(error.filename or out)) from error
