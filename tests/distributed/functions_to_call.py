"""Functions that worker processes import."""

from __future__ import annotations

import os
import signal
import time
import uuid
from pathlib import Path

from merge.errors import MergeError, UsageError


def square(number: int) -> int:
    return number * number


def process_id() -> int:
    return os.getpid()


def folder() -> str:
    return str(Path.cwd())


def die_once(mark: str) -> str:
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def fail(what: str) -> None:
    raise MergeError(what, where="there", hint="do otherwise")


def refuse() -> None:
    raise UsageError("no")


def slow_name(directory: str, number: int) -> str:
    """Say at which node of a cluster a call began, and whether it came to its end."""
    import ray

    mark = Path(directory, f"{ray.get_runtime_context().get_node_id()} {uuid.uuid4().hex}.begun")
    mark.touch()
    time.sleep(1)
    mark.rename(mark.with_suffix(".done"))
    return f"call {number}"
