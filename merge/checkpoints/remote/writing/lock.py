"""The lock of an output in a bucket: an object that is only written where there is none.

No clock decides anything. A lock counts until it is removed; the one exception is that of a process which, as this very
machine knows, is no longer there.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from pathlib import Path
from typing import Any

from ....errors import MergeError
from ....json_text import parse_json
from ....streaming.journal import boot
from .insisting import ConditionError
from .objects import Objects


class ObjectLock:
    """A lock that is held by writing an object.

    Args:
        bucket: Where.
        key: Of the object.
        target: What it protects, for messages.
    """

    def __init__(self, bucket: Objects, key: str, target: str) -> None:
        self._bucket, self._key, self._target = bucket, key, target
        self._text = json.dumps({**_this_process(), "token": uuid.uuid4().hex}).encode()

    def take(self) -> None:
        """Take the lock.

        Raises:
            MergeError: Another run has it, or the store cannot write only where nothing is.
        """
        if not self._write(IfNoneMatch="*"):
            self._take_over()
        if not self.is_held():
            raise MergeError("another run has just begun to build this output", where=self._target)

    def is_held(self) -> bool:
        """Tell whether the lock is still this one."""
        return self._bucket.get(self._key) == self._text

    def give_back(self) -> None:
        """Remove the lock, if it is still this one."""
        if self.is_held():
            self._bucket.delete(self._key)

    def _write(self, **condition: str) -> bool:
        """Write the lock where the condition holds; tell whether it did."""
        try:
            self._bucket.put(self._key, self._text, **condition)
        except ConditionError:
            return self.is_held()  # the answer to an earlier try was lost
        return True

    def _take_over(self) -> None:
        """Take the lock of a process of this machine that has ended; refuse any other."""
        tag = (self._bucket.head(self._key) or {}).get("ETag")
        holder = _read(self._bucket.get(self._key))
        if not (tag and _has_ended(holder) and self._write(IfMatch=tag)):
            who = f"process {holder.get('pid', '?')} on {holder.get('host', 'an unknown machine')}"
            hint = f"if {who} has ended, remove the lock {self._bucket.address(self._key)}, then run it again"
            raise MergeError("another run is building this output", where=self._target, hint=hint)


def _this_process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "boot": boot(), "processes": _processes()}


def _processes() -> str:
    """Return what names the set of processes among which a process id counts; containers have their own."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _read(text: bytes | None) -> dict[str, Any]:
    try:
        found = parse_json(text or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _has_ended(holder: dict[str, Any]) -> bool:
    """Tell whether a process is known not to run: it was one of this machine since its start, and there is none."""
    ours = _this_process()
    if ours["boot"] is None or any(holder.get(name) != ours[name] for name in ("host", "boot", "processes")):
        return False
    return not _runs(holder.get("pid"))


def _runs(pid: Any) -> bool:
    if not isinstance(pid, int) or pid <= 0 or os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # or a number that no process has
        return False
    except OSError:
        return True
    return True
