"""An output that is built in a temporary folder on this machine and sent when it is complete."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ....errors import MergeError
from ...address import Address
from ...writer import FileSink
from .filesystem_objects import FilesystemObjects
from .lock import ObjectLock
from .object_names import ObjectNames
from .publishing import publish

if TYPE_CHECKING:
    from ....planning.layout import OutputFile


class SentBuilding:
    """Everything is built here; the files are sent under hidden names where the place shows them while they arrive.

    Args:
        out: Where it goes.
        is_folder: Whether it is a folder.

    Attributes:
        discarded: Never: there is nothing to continue.
    """

    can_resume = False
    discarded = False

    def __init__(self, out: Address, *, is_folder: bool) -> None:
        self._is_folder = is_folder
        self._place = FilesystemObjects(str(out))
        self._names = ObjectNames(self._place.key, is_folder=is_folder)
        self._lock = ObjectLock(self._place, self._names.lock, str(out))
        self._is_locked = False
        self._weights: list[tuple[str, str]] = []  # name and key
        self._parts = f"{self._names.lock}.parts/"  # where files arrive
        self._temporary = tempfile.TemporaryDirectory(prefix="merge-", ignore_cleanup_errors=True)
        self._built = Path(self._temporary.name) / "result"
        self.journal = Path(self._temporary.name) / "journal"

    def open(self, *, resume: bool) -> None:
        """Take the lock.

        Raises:
            MergeError: Another run builds the same output, or the place cannot be written.
        """
        self._built.mkdir()
        self._lock.take()
        self._is_locked = True
        self._place.delete_folder(self._parts)  # of a run that was killed

    def restart(self) -> None:
        """Do nothing: nothing is ever continued."""

    def path(self, name: str) -> Path:
        """Return where a file is built."""
        return self._built / name

    def is_continuable(self, files: Sequence[OutputFile], metadata: dict[str, str]) -> bool:
        """Tell that nothing is continued."""
        return False

    def sink(self, files: Sequence[OutputFile], metadata: dict[str, str], *, keep: bool) -> FileSink:
        """Return what takes the tensors."""
        self._weights = [(file.name, self._names.of(file.name)) for file in files]
        return FileSink(files, self.path, metadata, keep=False)

    def commit(self, *, replace: bool, sync: bool, beside: Path | None = None) -> None:
        """Send everything, weights first, and make it appear.

        Raises:
            MergeError: That fails, or the lock was removed meanwhile.
        """
        if not self._lock.is_held():
            what = "somebody removed the lock of this run, so that another may be under way"
            raise MergeError(what, where=self._place.address(self._place.key), hint="run it again")
        weights = {key: self._place.send(self.path(name), key, self._parts + name) for name, key in self._weights}
        small = [path for path in self._built.iterdir() if path.name not in dict(self._weights)]
        named = self._names.beside if beside is not None else self._names.of
        files = {named(path.name): path for path in small}
        publish(self._place, weights, files, self._former(), replace=replace, is_folder=self._is_folder)
        self._place.filesystem.invalidate_cache()
        self.close()

    def _former(self) -> list[str]:
        kind = self._place.kind(self._place.key)
        if kind == "file":
            return [self._place.key]
        return self._place.keys(f"{self._place.key}/")

    def close(self) -> None:
        """Remove what was not committed, and give the lock back."""
        if self._is_locked:
            self._is_locked = False
            with suppress(MergeError):
                self._place.delete_folder(self._parts)
            with suppress(MergeError):
                self._lock.give_back()
        self._temporary.cleanup()

    def leave(self) -> None:
        """Do what `close` does."""
        self.close()
