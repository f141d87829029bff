"""The files of any file system of fsspec: the few requests that putting an output there takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from ....errors import MergeError
from ..filesystem_errors import explain_protocol
from ..offline import LOCAL_PROTOCOLS, refuse_offline
from .insisting import ConditionError, insist

T = TypeVar("T")
_APPEAR_WHOLE = ("gs", "gcs", "az", "abfs", "abfss", "adl")  # stores in which a file is there when it is complete


class FilesystemObjects:
    """A file system. Its keys are its paths.

    Args:
        location: An address in it.

    Attributes:
        key: Of that address.
        filesystem: The file system.

    Raises:
        UsageError: Nothing can open it, or the network must not be used.
    """

    def __init__(self, location: str) -> None:
        from fsspec.core import url_to_fs

        protocol = location.partition("://")[0].lower()
        if protocol not in LOCAL_PROTOCOLS:
            refuse_offline(location)
        try:
            self.filesystem, path = url_to_fs(location)
        except (ImportError, ValueError) as error:
            raise explain_protocol(error, location, protocol) from None
        self.key: str = path.rstrip("/")
        self._appear_whole = protocol in _APPEAR_WHOLE
        self._stop = Event()

    def address(self, key: str) -> str:
        """Return what stands for a file in messages."""
        return str(self.filesystem.unstrip_protocol(key))

    def put(self, key: str, data: bytes, **conditions: str) -> None:
        """Write a small file; that nothing, or what is expected, is there is looked up just before."""
        if conditions:
            self._check(key, conditions)
        self._insist(lambda: self._put(key, data), key)

    def _put(self, key: str, data: bytes) -> None:
        self.filesystem.makedirs(key.rpartition("/")[0], exist_ok=True)
        self.filesystem.pipe_file(key, data)

    def _check(self, key: str, conditions: dict[str, str]) -> None:
        found = self.head(key)
        if (found["ETag"] if found else None) != conditions.get("IfMatch"):
            raise ConditionError("something else is there", where=self.address(key))

    def get(self, key: str) -> bytes | None:
        """Return a small file's bytes, or None where there is none."""
        return self._unless_absent(lambda: bytes(self.filesystem.cat_file(key)), key)

    def head(self, key: str) -> dict[str, Any] | None:
        """Return the digest of a small file as its ``ETag``, or None where there is none."""
        found = self.get(key)
        return None if found is None else {"ETag": hashlib.sha256(found).hexdigest()}

    def delete(self, key: str) -> None:
        """Remove a file; one that is gone already will do."""
        self._unless_absent(lambda: self.filesystem.rm_file(key), key)

    def keys(self, prefix: str) -> list[str]:
        """Return the files below a folder, whose name ends with a slash, and the empty folders in it."""
        self.filesystem.invalidate_cache()
        return self._below(prefix.rstrip("/"))

    def _below(self, folder: str) -> list[str]:
        listed = self._unless_absent(lambda: self.filesystem.ls(folder, detail=True), folder) or []
        found: list[str] = []
        for name, is_folder in [(one["name"].rstrip("/"), one["type"] == "directory") for one in listed]:
            found += (self._below(name) or [f"{name}/"]) if is_folder else [name]
        return found

    def kind(self, key: str) -> str | None:
        """Return ``file`` or ``directory``, or None where there is neither."""
        self.filesystem.invalidate_cache()
        found = self._unless_absent(lambda: self.filesystem.info(key), key)
        return str(found["type"]) if found else None

    def send(self, path: Path, key: str, hidden: str) -> Callable[[], None]:
        """Send a file; return what makes it appear under its name.

        Args:
            path: Of the file here.
            key: Its name there.
            hidden: Its name while it arrives, unless the place shows a file only when it is complete.

        Raises:
            MergeError: That fails.
        """
        if self._appear_whole:
            return lambda: self._insist(lambda: self.filesystem.put_file(str(path), key), key)
        self._insist(lambda: self._send(path, hidden), key)
        return lambda: self._insist(lambda: self._rename(hidden, key), key)

    def _send(self, path: Path, key: str) -> None:
        self.filesystem.makedirs(key.rpartition("/")[0], exist_ok=True)
        self.filesystem.put_file(str(path), key)

    def _rename(self, hidden: str, key: str) -> None:
        if self.filesystem.exists(key):  # not all replace what is there
            self.filesystem.rm_file(key)
        self.filesystem.makedirs(key.rpartition("/")[0], exist_ok=True)
        self.filesystem.mv(hidden, key)

    def delete_folder(self, key: str) -> None:
        """Remove a folder and the files in it, if there is one."""
        if self.kind(key.rstrip("/")):
            self._unless_absent(lambda: self.filesystem.rm(key.rstrip("/"), recursive=True), key)

    def _unless_absent(self, action: Callable[[], T], key: str) -> T | None:
        def absent_or() -> T | None:
            try:
                return action()
            except FileNotFoundError:
                return None

        return self._insist(absent_or, key)

    def _insist(self, action: Callable[[], T], key: str) -> T:
        def attempt() -> T:
            try:
                return action()
            except (NotImplementedError, TypeError, ValueError) as error:
                what = f"cannot be written: {str(error) or 'this file system is for reading'}"
                raise MergeError(what, where=self.address(key)) from None

        return insist(self.address(key), self._stop, attempt)
