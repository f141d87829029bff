"""One file of a file system of fsspec, read by ranges."""

from __future__ import annotations

import threading
from typing import Any

from ...errors import MergeError
from ..checkpoint import FileIdentity
from ..files import Buffer
from .file import CHANGED, Start, identify
from .filesystem_errors import explain, has_changed
from .patience import fill

_VERSIONS = (
    *("ETag", "etag", "md5Hash", "content_md5", "VersionId", "generation"),
    *("LastModified", "last_modified", "mtime", "modified", "updated", "created", "ino"),
)


class FilesystemFile:
    """A file of a file system of fsspec.

    Args:
        filesystem: The file system. One that is not asynchronous is used by one thread at a time.
        path: The file within.
        where: What stands for it in messages.
    """

    def __init__(self, filesystem: Any, path: str, where: str) -> None:
        self.where, self._filesystem, self._path = where, filesystem, path
        self._stop = threading.Event()
        self._idle: list[Any] = []  # handles that no thread uses
        self._turn = threading.Lock() if not getattr(filesystem, "async_impl", False) else None
        self._info: dict[str, Any] | None = None

    @property
    def _known(self) -> dict[str, Any]:
        """What the store says of the file when it is first asked."""
        if self._info is None:
            try:
                self._info = self._filesystem.info(self._path)
            except Exception as error:
                raise explain(error, self.where) from None
        return self._info

    def start(self, count: int) -> Start:
        """Read up to so many bytes from the beginning, and learn the size.

        Raises:
            MergeError: It is not there, or cannot be read.
        """
        size = self._known.get("size")
        if size is None:
            raise MergeError("its store does not say how large it is", where=self.where)
        data = bytearray(min(count, size))
        self.read_into(0, memoryview(data))
        return Start(bytes(data), size)

    def read_into(self, start: int, buffer: Buffer) -> None:
        """Fill the buffer from this offset.

        Raises:
            MergeError: That fails for good, or the file has changed.
        """
        fill(buffer, self.where, self._stop, lambda done: (self._read(start + done, len(buffer) - done),))

    def _read(self, start: int, count: int) -> bytes:
        try:
            if self._turn is None:
                data = self._read_range(start, count)
            else:
                with self._turn:
                    data = self._read_range(start, count)
        except MergeError:
            raise
        except Exception as error:
            if has_changed(error):
                raise MergeError(CHANGED, where=self.where, hint="run it again") from None
            found = explain(error, self.where, known=True)
            raise found from None
        if not data:
            raise MergeError(CHANGED, where=self.where, hint="run it again")
        return data

    def _read_range(self, start: int, count: int) -> bytes:
        handle = self._idle.pop() if self._idle else self._open()
        handle.seek(start)
        data: bytes = handle.read(count)
        self._idle.append(handle)  # not after an error: it may be broken
        return data

    def _open(self) -> Any:
        """Open a handle without a buffer of its own; handles of object stores insist on the ETag they were opened with.

        Raises:
            MergeError: The file is no longer the same.
        """
        handle = self._filesystem.open(self._path, "rb", cache_type="none")
        details = getattr(handle, "details", None)
        if isinstance(details, dict) and _version(details) != _version(self._known):
            raise MergeError(CHANGED, where=self.where, hint="run it again")
        return handle

    @property
    def address(self) -> str:
        """The file's whole address, spelled in one way."""
        return str(self._filesystem.unstrip_protocol(self._path))

    def identity(self) -> FileIdentity:
        """Return what tells whether it is still the same file."""
        return identify(self.address, _version(self._known), self._known["size"])

    @property
    def doubt(self) -> str | None:
        """What cannot be told of it, in words for a note: a store may say nothing but the size."""
        if _version(self._known):
            return None
        return "its store tells nothing of versions, so a change while it is read shows only by another size"

    def check_unchanged(self) -> None:
        """Refuse a file that is no longer what was read.

        Raises:
            MergeError: Its store now says something else of it.
        """
        try:
            self._filesystem.invalidate_cache()
            now = self._filesystem.info(self._path)
        except Exception as error:
            raise explain(error, self.where) from None
        if _version(now) != _version(self._known) or now.get("size") != self._known["size"]:
            raise MergeError(CHANGED, where=self.where, hint="run it again")

    def close(self) -> None:
        """Stop whatever still tries to read it."""
        self._stop.set()
        while self._idle:
            self._idle.pop().close()


def _version(info: dict[str, Any]) -> str:
    """Return what a store says of a file that changes with its content."""
    return next((f"{key}={info[key]}" for key in _VERSIONS if info.get(key) is not None), "")
