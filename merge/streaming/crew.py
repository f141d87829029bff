"""A fixed crew of threads with one worker each; results come in the order of the work."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

W = TypeVar("W")
Item = TypeVar("Item")
Result = TypeVar("Result")
_AHEAD = 4  # pieces per thread that may be under way or wait for the one before them: no queue grows


class Crew(Generic[W]):
    """Threads that each own one worker.

    Args:
        threads: How many.
        make_worker: Makes a worker; called in the thread that will use it.
        stop: Set when the crew has to give up; workers look at it between chunks.
    """

    def __init__(self, threads: int, make_worker: Callable[[], W], stop: threading.Event) -> None:
        self._threads, self._stop = threads, stop
        self._local = threading.local()
        self._make_worker = make_worker
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="merge")

    def map(self, task: Callable[[W, Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        """Yield every item with its result, in order, while later ones are under way."""
        pending: deque[tuple[Item, Future[Result]]] = deque()
        for item in items:
            pending.append((item, self._pool.submit(self._run, task, item)))
            if len(pending) >= _AHEAD * self._threads:
                done, future = pending.popleft()
                yield done, future.result()
        while pending:
            done, future = pending.popleft()
            yield done, future.result()

    def _run(self, task: Callable[[W, Any], Result], item: Any) -> Result:
        worker = getattr(self._local, "worker", None)
        if worker is None:
            worker = self._local.worker = self._make_worker()
        return task(worker, item)

    def __enter__(self) -> Crew[W]:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
