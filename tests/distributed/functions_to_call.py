"""Functions that worker processes import."""

from __future__ import annotations

import os
import signal
import time
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


def at_node(directory: str, number: int, slow: str) -> str:
    """Leave a mark of the node of the cluster, and at one of them come to no end."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    Path(directory, f"{node} {number}").touch()
    time.sleep(600 if node == slow else 1)
    return f"call {number}"
