"""What outputs on their way to places elsewhere have in common: a lock there, small files here, nothing continued."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ....errors import MergeError
from ...address import Address
from .lock import ObjectLock

if TYPE_CHECKING:
    from ....planning.layout import OutputFile


class UnseenBuilding(ABC):
    """An output that nobody sees before it is committed, in a temporary folder on this machine or in unseen uploads.

    Args:
        out: Where it goes.
        lock: The lock there.

    Attributes:
        discarded: Whether a run that was killed had left something, which is given up now.
    """

    can_resume = False

    def __init__(self, out: Address, lock: ObjectLock) -> None:
        self._out, self._lock = out, lock
        self._is_locked = False
        self._temporary = tempfile.TemporaryDirectory(prefix="merge-", ignore_cleanup_errors=True)
        self._built = Path(self._temporary.name) / "result"
        self.journal = Path(self._temporary.name) / "journal"
        self.discarded = False

    def open(self, *, resume: bool) -> None:
        """Take the lock and give up what a killed run has left.

        Raises:
            MergeError: Another run builds the same output, or the place cannot be written.
        """
        self._built.mkdir()
        self._lock.take()
        self._is_locked = True
        self.discarded = self._give_up_leftovers()

    @abstractmethod
    def _give_up_leftovers(self) -> bool:
        """Give up what runs that were killed have left; tell whether that was an output to speak of."""

    @abstractmethod
    def _abandon(self) -> None:
        """Give up what was not committed. Raises MergeError when the place cannot be reached."""

    def restart(self) -> None:  # noqa: B027 - the same for all of them
        """Do nothing: nothing is ever continued."""

    def path(self, name: str) -> Path:
        """Return where a file is built; folders in its name are made."""
        if "/" in name:
            (self._built / name).parent.mkdir(parents=True, exist_ok=True)
        return self._built / name

    def built(self) -> dict[str, Path]:
        """Return the files that were built by their names, with folders in front."""
        files = (path for path in sorted(self._built.rglob("*")) if path.is_file())
        return {path.relative_to(self._built).as_posix(): path for path in files}

    def is_continuable(self, files: Sequence[OutputFile], metadata: dict[str, str]) -> bool:
        """Tell that nothing is continued."""
        return False

    def _check_lock(self) -> None:
        if not self._lock.is_held():
            what = "somebody removed the lock of this run, so that another may be under way"
            raise MergeError(what, where=str(self._out), hint="run it again")

    def close(self) -> None:
        """Give up what was not committed, and the lock."""
        if self._is_locked:
            self._is_locked = False
            with suppress(MergeError):
                self._abandon()
            with suppress(MergeError):
                self._lock.give_back()
        self._temporary.cleanup()

    def leave(self) -> None:
        """Do what `close` does."""
        self.close()
