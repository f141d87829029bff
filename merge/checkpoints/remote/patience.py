"""How long a request that fails is tried again: exponential waits with jitter, and a plain word at the end."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from threading import Event

from ...errors import LostError
from ..files import Buffer

ATTEMPTS = 6  # failures in a row
FIRST_WAIT, LONGEST_WAIT = 0.4, 10.0  # seconds; doubled after each failure
LONGEST_ASKED = 120.0  # seconds that a server may ask for


class TransientError(Exception):
    """A failure that may pass: a dropped connection, a time-out, a server that is busy.

    Args:
        reason: In plain words.
        wait: Seconds that the server asked for.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.wait = reason, wait


def fill(buffer: Buffer, where: str, stop: Event, parts: Callable[[int], Iterable[bytes]]) -> None:
    """Fill a buffer, going on where it breaks off.

    Args:
        buffer: What is filled.
        where: What is read, for messages.
        stop: Set when nobody waits for it any more.
        parts: Gives the bytes from an offset within the buffer on, as they come.

    Raises:
        LostError: It broke off too often.
    """
    patience, done = Patience(where, stop), 0
    while done < len(buffer):
        try:
            for part in parts(done):
                buffer[done : done + len(part)] = part
                done += len(part)
                patience.progressed()
        except TransientError as error:
            patience.failed(error)


class Patience:
    """Counts the failures of one read.

    Args:
        where: What is read, for the message.
        stop: Set when nobody waits for it any more.
        attempts: Failures in a row that are too many.
    """

    def __init__(self, where: str, stop: Event, attempts: int = ATTEMPTS) -> None:
        self._where, self._stop, self._attempts = where, stop, attempts
        self._failures = 0

    def progressed(self) -> None:
        """Begin to count anew: bytes have arrived."""
        self._failures = 0

    def failed(self, error: TransientError) -> None:
        """Wait before the next try.

        Raises:
            LostError: It failed too often, or must wait too long.
        """
        self._failures += 1
        wait = error.wait or 0.0
        if wait > LONGEST_ASKED:
            hint = f"try again in {wait:.0f} s"
            raise LostError(error.reason, where=self._where, hint=hint) from None
        if self._failures >= self._attempts or self._stop.is_set():
            what = f"{error.reason}, {self._failures} times in a row"
            raise LostError(what, where=self._where, hint="try again later") from None
        exponential = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (self._failures - 1))
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - so that many readers do not come back at once
        self._stop.wait(max(wait, exponential * jitter))
