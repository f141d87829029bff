"""An output on its way into a bucket."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ....errors import MergeError
from ...address import Address
from .bucket import Bucket
from .lock import ObjectLock
from .object_names import ObjectNames
from .publishing import publish
from .sink import ObjectSink

if TYPE_CHECKING:
    from ....planning.layout import OutputFile


class ObjectBuilding:
    """The tensors are uploads that nobody sees before they are completed; small files wait on this machine.

    Args:
        out: Where it goes.
        is_folder: Whether it is a folder.

    Attributes:
        discarded: Whether a run that was killed had left uploads, which are given up now.
    """

    can_resume = False

    def __init__(self, out: Address, *, is_folder: bool) -> None:
        self._out, self._is_folder = out, is_folder
        self._bucket = Bucket(str(out))
        self._names = ObjectNames(self._bucket.key, is_folder=is_folder)
        self._lock = ObjectLock(self._bucket, self._names.lock, str(out))
        self._is_locked = False
        self._sink: ObjectSink | None = None
        self._temporary = tempfile.TemporaryDirectory(prefix="merge-", ignore_cleanup_errors=True)
        self._small = Path(self._temporary.name) / "result"
        self.journal = Path(self._temporary.name) / "journal"
        self.discarded = False

    def open(self, *, resume: bool) -> None:
        """Take the lock and give up what a killed run has left.

        Raises:
            MergeError: Another run builds the same output, or the store refuses.
        """
        self._small.mkdir()
        self._lock.take()
        self._is_locked = True
        self.discarded = self._give_up_uploads()

    def _give_up_uploads(self) -> bool:
        left = [one for one in self._bucket.unfinished(self._bucket.key) if self._names.covers(one[0])]
        for key, upload in left:
            self._bucket.abort(key, upload)
        return bool(left)

    def restart(self) -> None:
        """Do nothing: nothing is ever continued."""

    def path(self, name: str) -> Path:
        """Return where a small file is built."""
        return self._small / name

    def is_continuable(self, files: Sequence[OutputFile], metadata: dict[str, str]) -> bool:
        """Tell that nothing is continued."""
        return False

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
        if not self._lock.is_held():
            what = "somebody removed the lock of this run, so that another may be under way"
            raise MergeError(what, where=str(self._out), hint="run it again")
        files = {self._names.of(path.name): path for path in self._small.iterdir() if path != beside}
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

    def close(self) -> None:
        """Give up what was not committed, and the lock."""
        if self._is_locked:
            self._is_locked = False
            with suppress(MergeError):
                if self._sink is not None:
                    self._sink.abandon(self._bucket)
                self._give_up_uploads()
            with suppress(MergeError):
                self._lock.give_back()
        self._temporary.cleanup()

    def leave(self) -> None:
        """Do what `close` does."""
        self.close()
