"""Whatever fsspec can open: object stores, other machines, archives, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from .checksums import Stated, stated_by_google, stated_by_s3
from .file import RemoteFile
from .filesystem_errors import explain, explain_protocol
from .filesystem_file import FilesystemFile
from .offline import LOCAL_PROTOCOLS, refuse_offline
from .s3_file import S3File, described, detailed, is_s3, is_signed, settings
from .shown import shown
from .store import FetchingStore, check_small


def open_filesystem(location: str) -> tuple[FilesystemStore, str | None]:
    """Return the folder that a URL names, or the folder and the name of the file that it names.

    Raises:
        MergeError: Nothing is there, or it cannot be reached.
        UsageError: Nothing can read such a URL.
    """
    from fsspec.core import url_to_fs

    protocol = location.partition("://")[0].rpartition("::")[2].lower()
    if protocol not in LOCAL_PROTOCOLS:
        refuse_offline(location)
    where = shown(location)
    try:
        filesystem, path = url_to_fs(location, **settings(location))
    except (ImportError, ValueError) as error:
        raise explain_protocol(error, where, protocol) from None
    path = path.rstrip("/")
    is_file = _is_file(filesystem, path, where)
    folder, _, name = path.rpartition("/")
    if not is_file:
        return FilesystemStore(filesystem, path, where.rstrip("/")), None
    return FilesystemStore(filesystem, folder, where.removesuffix(f"/{name}")), name


def _is_file(filesystem: Any, path: str, where: str) -> bool:
    """Tell whether a path is that of a file. Raises MergeError where there is nothing, or it cannot be reached."""
    try:
        return bool(filesystem.info(path)["type"] == "file")
    except Exception as error:
        known = detailed(filesystem, path, error) if is_s3(filesystem) else error
        raise explain(known, where) from None


class FilesystemStore(FetchingStore):
    """A folder of a file system of fsspec.

    Args:
        filesystem: The file system.
        path: The folder within.
        where: What stands for it in messages.
    """

    def __init__(self, filesystem: Any, path: str, where: str) -> None:
        self._filesystem, self._path, self.where = filesystem, path, where
        self.origin: str | None = None
        self.notes: list[str] = []
        self._may_be_absent = False

    @cached_property
    def _listed(self) -> list[dict[str, Any]]:
        try:
            return list(self._filesystem.ls(self._path, detail=True))
        except FileNotFoundError as error:
            if self._may_be_absent:
                return []
            raise explain(error, self.where) from None
        except Exception as error:
            raise explain(error, self.where) from None

    @cached_property
    def _entries(self) -> dict[str, dict[str, Any]]:
        """The files in the folder by their names, as the store describes them."""
        return {_name(entry): entry for entry in self._listed if entry["type"] == "file"}

    @property
    def folders(self) -> Sequence[str]:
        """The folders in it."""
        return sorted(_name(entry) for entry in self._listed if entry["type"] == "directory")

    def within(self, folder: str) -> FilesystemStore:
        """Return a folder in it."""
        found = FilesystemStore(self._filesystem, f"{self._path}/{folder}", f"{self.where}/{folder}")
        found._may_be_absent = True
        return found

    @cached_property
    def names(self) -> Sequence[str]:
        """The files in the folder."""
        return sorted(self._entries)

    def file(self, name: str) -> RemoteFile:
        """Return one of its files."""
        kind = S3File if is_s3(self._filesystem) and is_signed(self._filesystem) else FilesystemFile
        return kind(self._filesystem, f"{self._path}/{name}", f"{self.where}/{name}")

    def stated_hashes(self, names: Sequence[str]) -> Mapping[str, Stated]:
        """Return the checksums of whole files that stores of Amazon's and Google's kind state, by the files' names."""
        known = {name: self._stated(f"{self._path}/{name}", f"{self.where}/{name}") for name in names}
        return {name: stated for name, stated in known.items() if stated is not None}

    def _stated(self, path: str, where: str) -> Stated | None:
        try:
            if is_s3(self._filesystem):
                return stated_by_s3(described(self._filesystem, path))
            return stated_by_google(self._filesystem.info(path))
        except Exception as error:
            raise explain(error, where) from None

    def _content(self, name: str) -> bytes:
        where = f"{self.where}/{name}"
        check_small(int((self._entries.get(name) or {}).get("size") or 0), where)
        try:
            content: bytes = self._filesystem.cat_file(f"{self._path}/{name}")
        except Exception as error:
            raise explain(error, where) from None
        return content


def _name(entry: dict[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]
