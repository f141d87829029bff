"""What the status of an answer means: to be had later, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import time

from ...errors import MergeError
from .file import CHANGED
from .patience import TransientError

_BUSY = (408, 425, 429, 500, 502, 503, 504)
_GONE = (404, 410, 412, 416)


@dataclass(frozen=True)
class Answer:
    """An answer without what was asked for.

    Attributes:
        headers: By name as they came.
        known: Whether the file answered before.
        content: The beginning of what came with a refusal.
    """

    status: int
    headers: Mapping[str, str]
    known: bool = False
    content: bytes = b""

    def header(self, name: str) -> str | None:
        """Return a header, whatever the case of its name."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), None)


def check_status(answer: Answer, where: str) -> Exception:
    """Return the error that a status amounts to: a TransientError where it may pass, else a MergeError."""
    status = answer.status
    if status in _BUSY:
        reason = "the server limits the rate of requests" if status == 429 else f"the server answers {describe(status)}"
        return TransientError(reason, _asked_wait(answer))
    if status == 200 and answer.known:  # one of several servers or proxies of this address
        return TransientError("the server sent the whole file in place of the range that it was asked for")
    if status == 200:
        hint = "download it and name the copy"
        return MergeError("the server sends only whole files, no ranges of bytes", where=where, hint=hint)
    if status == 416 and not answer.known:
        return MergeError("the file is empty", where=where)
    if answer.known and status in _GONE:
        return MergeError(CHANGED, where=where, hint="run it again")
    return _final(status, where)


def _final(status: int, where: str) -> MergeError:
    if status in (401, 403):
        return MergeError(f"the server refuses access ({describe(status)})", where=where, hint="is it private?")
    if status in (404, 410):
        return MergeError("there is no such file", where=where, hint="check the address")
    return MergeError(f"the server answers {describe(status)}", where=where)


def describe(status: int) -> str:
    """Return a status with its phrase: ``503 Service Unavailable``."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _asked_wait(answer: Answer) -> float | None:
    """Return the seconds that a server asks to wait: ``Retry-After``, or what is left of the hub's window."""
    after = answer.header("Retry-After")
    if after is not None:
        return float(after) if after.isdigit() else _until(after)
    for part in (answer.header("RateLimit") or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "t" and value.isdigit():
            return float(value)
    return None


def _until(date: str) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time())
    except ValueError:
        return None
