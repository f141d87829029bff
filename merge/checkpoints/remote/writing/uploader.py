"""Threads that send parts while the work goes on, and hold it up when they cannot keep pace."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

AT_ONCE = 2  # parts under way; each takes its size in memory about twice


class Uploader:
    """Does tasks in a few threads. The one that hands in a task waits while all of them are busy."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="upload")
        self._room = threading.Semaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._pending: set[Future[None]] = set()
        self._error: BaseException | None = None

    def submit(self, task: Callable[[], None]) -> None:
        """Hand in a task.

        Raises:
            MergeError: An earlier one has failed.
        """
        self._room.acquire()
        try:
            self.check()
            future = self._pool.submit(self._run, task)
        except BaseException:
            self._room.release()
            raise
        with self._lock:
            self._pending.add(future)
        future.add_done_callback(self._forget)

    def _run(self, task: Callable[[], None]) -> None:
        try:
            if self._error is None:
                task()
        except BaseException as error:
            self._error = self._error or error
        finally:
            self._room.release()

    def _forget(self, future: Future[None]) -> None:
        with self._lock:
            self._pending.discard(future)

    def check(self) -> None:
        """Raise what a task has raised."""
        if self._error is not None:
            raise self._error

    def drain(self) -> None:
        """Wait for all tasks.

        Raises:
            MergeError: One has failed.
        """
        with self._lock:
            pending = list(self._pending)
        for future in pending:
            future.result()
        self.check()

    def close(self) -> None:
        """Wait for the tasks that run, and do no others."""
        self._error = self._error or RuntimeError("closed")
        self._pool.shutdown(wait=True, cancel_futures=True)
