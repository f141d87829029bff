"""A cluster of Ray whose processes answer questions; a task that is lost with its machine is done again."""

from __future__ import annotations

import logging
import platform
import re
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from ..errors import MergeError, UsageError
from .pipe import Question

RETRIES = 5  # of a task whose process or machine is lost
CONNECTION_SECONDS = 10


class RayCluster:
    """A connection to a cluster, inside a ``with`` block.

    Args:
        address: As Ray takes it; by default the one that the environment names, else one on this machine.
        threads: Processors that a task takes.
        most: Tasks at a time, where the cluster has room for more.
        gpus: GPUs that a task takes; Ray hides the others from it.

    Raises:
        UsageError: Ray is not installed.
    """

    def __init__(self, address: str | None, threads: int = 1, most: int | None = None, gpus: int = 0) -> None:
        self._ray = _import_ray()
        self._address, self._threads, self._most, self._gpus = address, threads, most, gpus
        self._started = False
        self._pending: list[Any] = []

    def __enter__(self) -> RayCluster:
        if not self._ray.is_initialized():
            self._connect()
        try:
            self._check_room()
        except UsageError:
            self.__exit__()
            raise
        return self

    def _check_room(self) -> None:
        """Refuse tasks that no machine could ever take; Ray itself would wait for one that can."""
        most = max((int(one["Resources"].get("CPU", 0)) for one in self._ray.nodes() if one["Alive"]), default=0)
        if 0 < most < self._threads:
            what = f"no machine of the cluster has {self._threads} processors for one task"
            raise UsageError(what, hint=f"give --threads {most}, or fewer")

    def _connect(self) -> None:
        _check_reachable(self._address)
        terminated = signal.getsignal(signal.SIGTERM)
        try:
            self._ray.init(
                address=self._address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False if self._address is None else None,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise _unreachable(self._address, error) from None
        self._started = True
        with suppress(ValueError):  # only the main thread may; Ray has put a handler of its own there
            signal.signal(signal.SIGTERM, terminated)

    def __exit__(self, *error: object) -> None:
        for task in self._pending:
            self._ray.cancel(task, force=True)
        self._pending = []
        if self._started:
            self._ray.shutdown()

    @property
    def workers(self) -> int:
        """How many tasks are done at a time."""
        found = self._ray.cluster_resources()
        bounds = [int(found.get("CPU", 1)) // self._threads]
        bounds += [int(found.get("GPU", 0)) // self._gpus] if self._gpus else []
        bounds += [self._most] if self._most is not None else []
        return max(1, min(bounds))

    def put(self, value: Any) -> Any:
        """Bring a value to the machines once; what is returned stands for it among the arguments of questions."""
        return self._ray.put(value)

    def ask(self, questions: Iterable[Question]) -> Iterator[tuple[int, list[Any]]]:
        """Yield the number of each question, from 0, and its whole answer as a list, in the order in which they come.

        Raises:
            MergeError: What a machine could not do, or that one after the other is lost.
        """
        task = self._ray.remote(_whole_answer).options(
            num_cpus=self._threads, num_gpus=self._gpus, max_retries=RETRIES, scheduling_strategy="SPREAD"
        )
        numbers: dict[Any, int] = {}
        most = 2 * self.workers
        for number, question in enumerate(questions):
            if len(self._pending) >= most:
                yield self._next(numbers)
            reference = task.remote(question.function, *question.arguments)
            numbers[reference] = number
            self._pending.append(reference)
        while self._pending:
            yield self._next(numbers)

    def _next(self, numbers: dict[Any, int]) -> tuple[int, list[Any]]:
        [reference], self._pending = self._ray.wait(self._pending, num_returns=1)
        try:
            return numbers.pop(reference), self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except self._ray.exceptions.RayError as error:
            what = f"a share of the work was lost {RETRIES + 1} times: {_first_line(error)}"
            raise MergeError(what, hint="memory of the machines may be short") from None


def _whole_answer(function: Any, *arguments: Any) -> list[Any]:
    """Return the answer to a question; this runs on a machine of the cluster."""
    try:
        return list(function(*arguments))
    except MergeError as error:
        what = f"{error.what} (seen from {platform.node()})"
        raise type(error)(what, where=error.where, hint=error.hint) from None


def _check_reachable(address: str | None) -> None:
    """Refuse an address where nothing listens; Ray itself would try for minutes."""
    found = re.fullmatch(r"(?:ray://)?(\S+):(\d+)", address or "")
    if found is None:
        return  # one that Ray finds itself
    try:
        socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=CONNECTION_SECONDS).close()
    except OSError as error:
        raise _unreachable(address, error) from None


def _unreachable(address: str | None, error: BaseException) -> MergeError:
    return MergeError(f"cannot connect to the cluster: {_first_line(error)}", where=address or "Ray")


def _import_ray() -> Any:
    try:
        import ray
    except ImportError:
        hint = "pip install 'merge-checkpoints[ray]'"
        raise UsageError("--engine ray needs Ray, which is not installed", hint=hint) from None
    return ray


def _cause(error: Any) -> MergeError:
    cause = error.cause
    if isinstance(cause, MergeError):
        return cause
    return MergeError(f"a worker of the cluster failed: {type(cause).__name__}: {_first_line(cause)}")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
