"""Statistics on their way into a file: continued after a kill, and never half-written under the final name.

    with Store(out, force=…, resume=…) as store:
        begun = store.begin(fingerprint)  # tensors and notes of an earlier run, or None
        for …: if store.is_due: store.save(tensors, notes)
        store.finish(tensors, facts)

Sums so far lie beside the output, in the folder where merges are built (`merge.checkpoints.staging`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from ..checkpoints.destination import notes_on_discarded
from ..checkpoints.header_file import read_header
from ..checkpoints.staging import Staging
from ..checkpoints.target import check_target
from ..errors import MergeError, UsageError, suggest
from .facts import Facts
from .partial import Begun, read_partial, why_another, write_partial

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = ("float32", "float64")
SECONDS_BETWEEN_SAVES = 60.0
FINGERPRINT = "fingerprint"  # metadata: a hash of all that the numbers depend on


class AlreadyComputedError(MergeError):
    """A file holds the very statistics that were to be computed."""


class Store:
    """The place where one file of statistics is built.

    Args:
        out: The file.
        force: Whether a file that stands there may be replaced.
        resume: Whether an unfinished earlier run is continued.
        reuse: Whether a file with the very same statistics ends the computation before it starts; see `begin`.
        dtype: Type in which the tensors are stored: float32 or float64.
        inputs: Files that are read, and must not be overwritten.
        seconds: After how long sums are due to be saved.

    Attributes:
        out: The file.
        dtype: Type in which the tensors are stored.
        notes: What was resumed or discarded, for the user.
        is_resumable: Whether a run that is stopped now can be resumed.

    Raises:
        UsageError: The output must not be written, or the type is none.
    """

    def __init__(
        self,
        out: Path,
        *,
        force: bool = False,
        resume: bool = False,
        reuse: bool = False,
        dtype: str = "float32",
        inputs: Iterable[Path] = (),
        seconds: float | None = None,
    ) -> None:
        _check_dtype(dtype)
        if out.is_dir():
            raise UsageError("a folder stands there, and statistics are a single file", where=str(out))
        check_target(out, inputs, is_folder=False, force=force or reuse)
        self.out, self._force, self._resume, self._reuse, self.dtype = out, force, resume, reuse, dtype
        self._seconds = SECONDS_BETWEEN_SAVES if seconds is None else seconds
        self._staging = Staging(out, is_folder=False)
        self._fingerprint, self._replaces = "", force
        self._last = 0.0
        self._is_locked = self._is_begun = False
        self.notes: list[str] = []
        self.is_resumable = False

    def __enter__(self) -> Store:
        """Take the lock, so that a second run to the same output ends before it computes anything.

        Raises:
            UsageError: The output has appeared meanwhile, and must not be replaced.
            MergeError: Another run builds the same output, or the folder cannot be written.
        """
        self._staging.open(resume=True)  # what an earlier run has left is thrown away when this one begins
        self._is_locked = True
        try:
            check_target(self.out, (), is_folder=False, force=self._force or self._reuse)
        except UsageError:
            self._release(stopped=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Clean up, but keep sums that a stopped run can be resumed from; those of a failed one would fail again."""
        self._release(stopped=kind is not None and not issubclass(kind, MergeError))

    def _release(self, *, stopped: bool) -> None:
        unseen = not self._is_begun and self._staging.journal.exists()
        self._staging.leave() if unseen or (stopped and self.is_resumable) else self._staging.close()

    def begin(self, fingerprint: Mapping[str, Any], *, anew: bool = False) -> Begun | None:
        """Return what an earlier run has left, if that is to be continued; takes the lock if it is not held.

        Args:
            fingerprint: What must be equal for that, as JSON: model, data, options.
            anew: Whether the statistics are computed again even if the file holds them.

        Raises:
            AlreadyComputedError: The file is there already and says the same of itself; with ``reuse`` only.
            UsageError: Other statistics stand there, with ``reuse`` and without ``force``.
            MergeError: Another run builds the same output, or the folder cannot be written.
        """
        if not self._is_locked:
            self.__enter__()
        if self._reuse and self.holds(fingerprint) and not anew:
            raise AlreadyComputedError("the statistics are there already", where=str(self.out))
        self._fingerprint = _as_text(fingerprint)
        self._last, self._is_begun = time.monotonic(), True
        if self._resume:
            return self._continue()
        self._staging.restart()
        self.notes += notes_on_discarded(discarded=self._staging.discarded)
        return None

    def holds(self, fingerprint: Mapping[str, Any]) -> bool:
        """Tell whether the file is there already, with the very statistics.

        Args:
            fingerprint: As `begin` takes it.

        Raises:
            UsageError: Something else stands there, and must not be replaced.
        """
        if not self.out.exists():
            return False
        if _recorded(self.out) == _digest(_as_text(fingerprint)):
            self._replaces = True
            return True
        if not self._force:
            raise UsageError("other statistics stand there", where=str(self.out), hint="--force replaces them")
        return False

    def _continue(self) -> Begun | None:
        begun, fingerprint = read_partial(self._staging.journal)
        problem = why_another(fingerprint, self._fingerprint)
        if problem:
            self.notes.append(f"nothing to resume, so everything was computed anew: {problem}")
            self._staging.restart()
            return None
        self.notes.append(f"resumed after {begun.notes['items']:,} items")
        self.is_resumable = True
        return begun

    @property
    def is_due(self) -> bool:
        """Whether the last save is long enough ago."""
        return time.monotonic() - self._last >= self._seconds

    def save(self, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
        """Save sums.

        Args:
            tensors: By any names, of any type, on any device.
            notes: What else is needed to go on, as JSON; ``items`` tells how many are done.

        Raises:
            MergeError: They cannot be written.
        """
        write_partial(self._staging.journal, tensors, notes, self._fingerprint)
        self._last, self.is_resumable = time.monotonic(), True

    def finish(self, tensors: Mapping[str, Tensor], facts: Facts) -> None:
        """Write the file and put it in place.

        Raises:
            MergeError: It cannot be written, or a number does not fit into its type.
        """
        from .tensor_file import write_tensors

        write_tensors(
            self._staging.path(self.out.name),
            tensors,
            facts.metadata() | {FINGERPRINT: _digest(self._fingerprint)},
            self.dtype,
        )
        self._staging.commit(replace=self._replaces, sync=True)


def _as_text(fingerprint: Mapping[str, Any]) -> str:
    return json.dumps(dict(fingerprint), sort_keys=True)


def _recorded(path: Path) -> str | None:
    """Return the fingerprint that a file states; None for a file of another kind, or a broken one."""
    try:
        return read_header(path).metadata.get(FINGERPRINT)
    except MergeError:
        return None


def _digest(text: str) -> str:
    return xxhash.xxh3_128_hexdigest(text.encode())


def _check_dtype(dtype: str) -> None:
    if dtype not in DTYPES:
        raise UsageError(f"--dtype must be {' or '.join(DTYPES)}, not '{dtype}'", hint=suggest(dtype, DTYPES))
