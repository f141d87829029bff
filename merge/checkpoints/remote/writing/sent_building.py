"""An output that is built in a temporary folder on this machine and sent when it is complete."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...address import Address
from ...writer import FileSink
from .filesystem_objects import FilesystemObjects
from .lock import ObjectLock
from .object_names import ObjectNames
from .publishing import publish
from .unseen_building import UnseenBuilding

if TYPE_CHECKING:
    from ....planning.layout import OutputFile


class SentBuilding(UnseenBuilding):
    """Everything is built here; the files are sent under hidden names where the place shows them while they arrive.

    Args:
        out: Where it goes.
        is_folder: Whether it is a folder.
    """

    def __init__(self, out: Address, *, is_folder: bool) -> None:
        self._is_folder = is_folder
        self._place = FilesystemObjects(str(out))
        self._names = ObjectNames(self._place.key, is_folder=is_folder)
        self._weights: list[tuple[str, str]] = []  # name and key
        self._parts = f"{self._names.lock}.parts/"  # where files arrive
        super().__init__(out, ObjectLock(self._place, self._names.lock, str(out)))

    def _give_up_leftovers(self) -> bool:
        self._abandon()
        return False  # what had arrived was complete nowhere, and nothing was ever to be continued

    def sink(self, files: Sequence[OutputFile], metadata: dict[str, str], *, keep: bool) -> FileSink:
        """Return what takes the tensors."""
        self._weights = [(file.name, self._names.of(file.name)) for file in files]
        return FileSink(files, self.path, metadata, keep=False)

    def commit(self, *, replace: bool, sync: bool, beside: Path | None = None) -> None:
        """Send everything, weights first, and make it appear.

        Raises:
            MergeError: That fails, or the lock was removed meanwhile.
        """
        self._check_lock()
        weights = {key: self._place.send(self.path(name), key, self._parts + name) for name, key in self._weights}
        small = {name: path for name, path in self.built().items() if name not in dict(self._weights)}
        named = self._names.beside if beside is not None else self._names.of
        files = {named(name): path for name, path in small.items()}
        publish(self._place, weights, files, self._former(), replace=replace, is_folder=self._is_folder)
        self._place.filesystem.invalidate_cache()
        self.close()

    def _former(self) -> list[str]:
        kind = self._place.kind(self._place.key)
        if kind == "file":
            return [self._place.key]
        return self._place.keys(f"{self._place.key}/")

    def _abandon(self) -> None:
        self._place.delete_folder(self._parts)
