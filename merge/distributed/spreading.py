"""Calls of one function side by side, by processes on this machine or by a cluster: models, benchmarks, candidates."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .job import current_folder, go_to, steering_environment
from .pipe import End, Question
from .pool import ProcessPool

if TYPE_CHECKING:
    from .ray_cluster import RayCluster


@dataclass(frozen=True)
class Spreading:
    """Who makes the calls.

    Attributes:
        workers: Processes; with a cluster, tasks at a time at most.
        engine: Processes on this machine, or a cluster of Ray.
        address: Of the cluster.
        threads: Processors that a call takes up on a cluster.
    """

    workers: int = 1
    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    threads: int = 1

    @property
    def is_spread(self) -> bool:
        """Whether other processes are wanted at all."""
        return self.workers > 1 or self.engine != "local"

    def helps(self, calls: int) -> bool:
        """Tell whether so many calls are made elsewhere: on this machine, only if there are several."""
        return self.engine != "local" or min(self.workers, calls) > 1


class Crew(Protocol):
    """Processes that make calls, as often as they are asked."""

    def make(self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """Call a function with each of some arguments; see `spread`."""


@contextmanager
def crew(spreading: Spreading) -> Iterator[Crew]:
    """Keep processes, or the connection to a cluster, for calls of several functions.

    Raises:
        UsageError: There is no such cluster.
    """
    if spreading.engine == "ray":
        from .ray_cluster import RayCluster

        most = spreading.workers if spreading.workers > 1 else None
        with RayCluster(spreading.address, spreading.threads, most) as cluster:
            yield _Tasks(cluster)
        return
    with ProcessPool(spreading.workers) as pool:
        yield _Processes(pool)


def spread(
    function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], spreading: Spreading
) -> Iterator[tuple[int, Any]]:
    """Call a function with each of some arguments; yield the numbers of the calls, from 0, and what was returned.

    Calls are made in the current folder, with this tool's variables. One whose process or machine is lost is made
    again. Outcomes come in the order in which they are known; an error ends the others.

    Args:
        function: A function of a module; arguments and outcome are picklable.
        calls: The arguments of each call.
        spreading: Who makes the calls.

    Raises:
        MergeError: What a call raised, or that processes are lost one after the other.
        UsageError: There is no such cluster.
    """
    needed = replace(spreading, workers=max(1, min(spreading.workers, len(calls))))
    with crew(needed if spreading.engine == "local" else spreading) as members:
        yield from members.make(function, calls)


class _Processes:
    def __init__(self, pool: ProcessPool) -> None:
        self._pool = pool

    def make(self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        return _to_the_end(self._outcomes(_questions(function, calls)), len(calls))

    def _outcomes(self, questions: list[Question]) -> Iterator[tuple[int, Any]]:
        kept: dict[int, Any] = {}  # until the end is heard: a process that is killed before is asked again
        for number, found in self._pool.ask(questions):
            if isinstance(found, End):
                yield number, kept.pop(number)
            else:
                kept[number] = found


class _Tasks:
    def __init__(self, cluster: RayCluster) -> None:
        self._cluster = cluster

    def make(self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        for number, [outcome] in self._cluster.ask(_questions(function, calls)):
            yield number, outcome


def _questions(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Question]:
    here = partial(_one_call, current_folder(), steering_environment(), function)
    return [Question(here, call) for call in calls]


def _to_the_end(answers: Iterator[tuple[int, Any]], count: int) -> Iterator[tuple[int, Any]]:
    """Yield answers, the last one when nobody is asked any more: whoever awaits it need not ask for another."""
    for heard, answer in enumerate(answers, start=1):
        if heard == count:
            for _ in answers:
                pass
        yield answer


def _one_call(
    folder: Path | None, environment: Mapping[str, str], function: Callable[..., Any], *arguments: Any
) -> Iterator[Any]:
    os.environ.update(environment)
    go_to(folder)
    yield function(*arguments)
