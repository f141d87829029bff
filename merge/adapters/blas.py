"""Products by one BLAS thread each, however many threads ask at once: several threads round otherwise than one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

_lock = threading.Lock()
_inside = 0
_limit = ExitStack()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread per call while anybody is inside; the first one in sets it, the last one out ends it."""
    global _inside  # noqa: PLW0603 - the limit itself is one of the whole process
    with _lock:
        _inside += 1
        if _inside == 1:
            _limit.enter_context(_libraries().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limit.close()


@cache
def _libraries() -> Any:
    """Return numpy's BLAS; looking for it takes a millisecond, and there are many products."""
    import numpy as np
    from threadpoolctl import ThreadpoolController

    np.ones((2, 2)) @ np.ones((2, 2))  # so that it is loaded
    return ThreadpoolController()
