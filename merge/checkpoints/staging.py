"""Build an output under a hidden name beside its target and put it in place with one rename.

Everything unfinished lives in one folder, ``.NAME.merging``: the lock, the journal and the result so far. A killed
run leaves that folder and nothing else; the next run to the same output takes it over or removes it.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from ..errors import MergeError
from ..interrupts import uninterrupted
from .files import sync_files, sync_folder, writing
from .placing import exchange, move, placed


class Staging:
    """The place where one output is built.

    Args:
        target: The output's path.
        is_folder: Whether the output is a folder.

    Attributes:
        journal: Path of the journal.
        discarded: Whether an earlier, unfinished result was removed.
    """

    def __init__(self, target: Path, *, is_folder: bool) -> None:
        self.target, self._is_folder = target, is_folder
        self._folder = _folder_of(target)
        self.journal = self._folder / "journal"
        self._result = self._folder / "result"
        self._lock: int | None = None
        self._made: list[Path] = []
        self.discarded = False

    def path(self, name: str) -> Path:
        """Return where a file of the result is built; folders in its name are made."""
        if "/" in name:
            (self._result / name).parent.mkdir(parents=True, exist_ok=True)
        return self._result / name

    def open(self, *, resume: bool) -> None:
        """Take the lock and make the folder ready, empty unless an earlier result is to be continued.

        Raises:
            MergeError: When another run builds the same output, or the folder cannot be written.
        """
        try:
            with uninterrupted():
                self._begin(resume=resume)
        except OSError as error:
            self._abandon()
            where = str(self.target.parent.absolute())
            raise MergeError(f"cannot write into this folder: {error.strerror}", where=where) from None
        except KeyboardInterrupt:
            self._abandon()
            raise

    def _begin(self, *, resume: bool) -> None:
        self._refuse_links()
        self._make_parents()
        self._folder.mkdir(exist_ok=True)
        self._take_lock()
        if not resume:
            self._clear()
        self._result.mkdir(exist_ok=True)

    def _abandon(self) -> None:
        """Remove what was begun, but not what could be resumed."""
        with uninterrupted():
            self.leave() if os.path.lexists(self.journal) else self.close()
            with suppress(OSError):
                self._folder.rmdir()  # where there was no room for the lock
            self._remove_parents()

    def _refuse_links(self) -> None:
        """Refuse links that another user of a shared folder may have left where we would write or remove files."""
        for path in (self._folder, self._folder / "lock", self.journal, self._result):
            if path.is_symlink():
                hint = "remove it, if you know whose it is"
                raise MergeError("a link stands where the output would be built", where=str(path), hint=hint)

    def _make_parents(self) -> None:
        missing = [parent for parent in self.target.parents if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir()
            self._made.append(parent)

    def _remove_parents(self) -> None:
        while self._made:
            try:
                self._made.pop().rmdir()
            except OSError:
                return

    def _take_lock(self) -> None:
        handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(handle)
        except OSError:
            os.close(handle)
            raise MergeError("another run is building this output", where=str(self.target)) from None
        if os.fstat(handle).st_nlink == 0:  # the run that held it has just finished and removed its folder
            os.close(handle)
            raise MergeError("another run has just built this output", where=str(self.target))
        self._lock = handle

    def _clear(self) -> None:
        self.discarded = self.journal.exists()
        self.journal.unlink(missing_ok=True)
        if os.path.lexists(self._result):  # what cannot be removed would become part of a folder
            shutil.rmtree(self._result)

    def restart(self) -> None:
        """Throw an earlier result away after all."""
        self._clear()
        self._result.mkdir()

    def commit(self, *, replace: bool, sync: bool, beside: Path | None = None) -> None:
        """Put the result in place and remove everything else.

        Args:
            replace: Whether something may stand there already.
            sync: Whether to wait for the disk.
            beside: A built file that goes beside the target under its own name. It comes first, so that a run that is
                killed in between leaves no target, or the former one, and can be resumed.

        Raises:
            MergeError: When something stands there that must not be replaced.
        """
        built = self._result if self._is_folder else self._result / self.target.name
        if sync:
            with writing(self.target):
                sync_files(self._result)
        try:
            with uninterrupted(), placed(beside, self.target.parent):
                if replace and os.path.lexists(self.target):
                    exchange(built, self.target) if self._is_folder else built.replace(self.target)
                else:
                    move(built, self.target)
        except FileExistsError:
            raise MergeError("something appeared there meanwhile", where=str(self.target)) from None
        except OSError as error:
            raise MergeError(f"cannot put the output in place: {error.strerror}", where=str(self.target)) from None
        if sync:
            with writing(self.target):
                sync_folder(self.target.parent)
        self.close()

    def close(self) -> None:
        """Remove the folder and give the lock back; parents that were made for nothing go too.

        A second Ctrl-C waits for it: where the output is in place already, no later run would look for what is left.
        """
        if self._lock is not None:
            with uninterrupted():
                shutil.rmtree(self._folder, ignore_errors=True)
                os.close(self._lock)
                self._lock = None
                if not os.path.lexists(self.target):
                    self._remove_parents()

    def leave(self) -> None:
        """Give the lock back and keep everything, so that a later run can continue."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _folder_of(target: Path) -> Path:
    return target.parent / f".{target.name}.merging"


def is_unfinished(target: Path) -> bool:
    """Tell whether a run to this output was stopped before it was in place."""
    return not os.path.lexists(target) and (_folder_of(target) / "journal").exists()


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
