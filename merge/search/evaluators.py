"""Where trials are carried out: in this process or in several, each with the benchmarks in its own memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from ..errors import MergeError, UsageError
from ..evaluation.locate import merge_in_memory
from ..plan import make_plan
from ..recipe import Recipe
from .objective import Objective

if TYPE_CHECKING:
    from ..evaluation.outcome import Measure
    from ..evaluation.task import Benchmark, Settings

Result = list["Measure"] | MergeError


class Evaluator(Protocol):
    """Merges and evaluates recipes."""

    def results(self, recipes: Sequence[Recipe]) -> Iterator[Result]:
        """Yield what counts on each benchmark, or why there is none, recipe by recipe in their order."""


def try_out(objective: Objective, recipe: Recipe) -> Result:
    """Merge one recipe in memory and evaluate the outcome; nothing is written.

    Returns:
        The measure that counts on each benchmark. Or the error, where these options cannot be merged, or give a model
        whose outputs are not finite.

    Raises:
        UsageError: The benchmarks have no such metric: a fault of the request, not of the options.
    """
    try:
        plan = make_plan(recipe)
        try:
            candidate = merge_in_memory(plan, recipe.name or "a trial")
        finally:
            plan.close()
    except MergeError as error:
        return error
    try:
        return objective.measures(candidate)
    except UsageError:
        raise
    except MergeError as error:
        return error


class InProcess:
    """One trial after another in this process."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective

    def results(self, recipes: Sequence[Recipe]) -> Iterator[Result]:
        """Yield the results in the order of the recipes."""
        return (try_out(self._objective, recipe) for recipe in recipes)


class InProcesses:
    """Several trials at a time, each in a process of its own that computes with as many threads as a single one would.

    Args:
        executor: Whose processes were started with `begin`.
    """

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    def results(self, recipes: Sequence[Recipe]) -> Iterator[Result]:
        """Yield the results in the order of the recipes. Raises MergeError when a process has died."""
        try:
            yield from self._executor.map(_try_out_here, recipes)
        except BrokenProcessPool:
            hint = "probably for want of memory: give fewer --processes; finished trials are kept"
            raise MergeError("a process of the search has died", hint=hint) from None


@contextmanager
def evaluator(objective: Objective, processes: int, threads: int) -> Iterator[Evaluator]:
    """Yield an evaluator; its processes end with the context.

    Args:
        objective: The held-out benchmarks, loaded.
        processes: How many trials are carried out at a time.
        threads: How many threads each of them computes with. The same for any number of processes, since sums may
            depend on it in their last digits.
    """
    if processes == 1:
        with _torch_threads(threads):
            yield InProcess(objective)
        return
    quiet = replace(objective.settings, advance=_ignore)
    facts = (objective.benchmarks, quiet, objective.metric, threads)
    context = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads and devices in pieces
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(processes, mp_context=context, initializer=begin, initargs=facts)
    try:
        yield InProcesses(executor)
    finally:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()  # nobody waits for trials that an error made pointless
        executor.shutdown(wait=True, cancel_futures=True)


def _ignore(items: int) -> None:
    """Advance nothing: progress is shown by the process that started the search."""


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_here: list[Objective] = []  # of a process of the search: what `begin` loaded


def begin(benchmarks: Sequence[Benchmark], settings: Settings, metric: str | None, threads: int) -> None:
    """Load the benchmarks in a process of the search."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started the search
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _here[:] = [Objective.prepare(benchmarks, settings, metric)]


def _end_with_parent() -> None:
    """End when the process that started the search is gone, however it ended: nobody would hear of the results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _try_out_here(recipe: Recipe) -> Result:
    return try_out(_here[0], recipe)
