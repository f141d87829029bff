"""An output on its way into a bucket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...address import Address
from .bucket import Bucket
from .lock import ObjectLock
from .object_names import ObjectNames
from .publishing import publish
from .sink import ObjectSink
from .unseen_building import UnseenBuilding

if TYPE_CHECKING:
    from ....planning.layout import OutputFile


class ObjectBuilding(UnseenBuilding):
    """The tensors are uploads that nobody sees before they are completed; small files wait on this machine.

    Args:
        out: Where it goes.
        is_folder: Whether it is a folder.
    """

    def __init__(self, out: Address, *, is_folder: bool) -> None:
        self._is_folder = is_folder
        self._bucket = Bucket(str(out))
        self._names = ObjectNames(self._bucket.key, is_folder=is_folder)
        self._sink: ObjectSink | None = None
        super().__init__(out, ObjectLock(self._bucket, self._names.lock, str(out)))

    def _give_up_leftovers(self) -> bool:
        left = [one for one in self._bucket.unfinished(self._bucket.key) if self._names.covers(one[0])]
        for key, upload in left:
            self._bucket.abort(key, upload)
        return bool(left)

    def sink(self, files: Sequence[OutputFile], metadata: dict[str, str], *, keep: bool) -> ObjectSink:
        """Return what takes the tensors."""
        self._sink = ObjectSink(self._bucket, [self._names.of(file.name) for file in files], files, metadata)
        return self._sink

    def commit(self, *, replace: bool, sync: bool, beside: Path | None = None) -> None:
        """Make the output appear.

        Raises:
            MergeError: The store refuses, or the lock was removed meanwhile; then nothing of it is seen.
        """
        assert self._sink is not None  # noqa: S101 - it was filled
        self._check_lock()
        files = {self._names.of(name): path for name, path in self.built().items() if path != beside}
        if beside is not None:
            files = {self._names.beside(beside.name): beside}
        self._publish(files, replace=replace)
        self._sink = None
        self._bucket.filesystem.invalidate_cache()  # what reads the store next looks anew
        self.close()

    def _publish(self, files: Mapping[str, Path], *, replace: bool) -> None:
        assert self._sink is not None  # noqa: S101 - it was filled
        bucket, marker = self._bucket, f"{self._bucket.key}/"
        former = [key for key in bucket.keys(marker) if key != marker] if self._is_folder else []
        if not self._is_folder and bucket.head(bucket.key) is not None:
            former = [bucket.key]
        appear = {
            sent.key: partial(bucket.complete, sent.key, sent.upload, sent.tags, sent.size)
            for sent in self._sink.sent()
        }
        publish(bucket, appear, files, former, replace=replace, is_folder=self._is_folder)

    def _abandon(self) -> None:
        if self._sink is not None:
            self._sink.abandon(self._bucket)
        self._give_up_leftovers()
