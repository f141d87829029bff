"""Threads that send requests, one pool for the whole process."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

AT_ONCE = 16
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def request_pool() -> ThreadPoolExecutor:
    """Return the threads of this process; they are started as they are needed."""
    return _pool(os.getpid())


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, "merge-request")


def map_side_by_side(work: Callable[[Item], Outcome], items: Sequence[Item]) -> list[Outcome]:
    """Return the outcomes in order; an error is raised as it is."""
    if len(items) == 1:
        return [work(items[0])]
    return list(request_pool().map(work, items))
