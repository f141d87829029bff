"""Where trials are carried out: in this process or in several, each with the benchmarks in its own memory."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ..distributed.hands import in_order
from ..distributed.spreading import Crew, Spreading, crew
from ..errors import MergeError, UsageError
from ..evaluation.device import own_device
from ..evaluation.inference import torch_threads
from ..evaluation.locate import merge_in_memory
from ..plan import make_plan
from ..recipe import Recipe
from .objective import Objective

if TYPE_CHECKING:
    from ..evaluation.outcome import Measure
    from ..evaluation.task import Benchmark, Settings

Result = list["Measure"] | MergeError


@dataclass(frozen=True)
class Request:
    """What every process of a search is told, picklable.

    Attributes:
        name: Tells this search from others.
        benchmarks: The held-out data.
        settings: How models are run.
        metric: The measure to go by; None: each benchmark's main one.
        threads: Threads that torch computes with on the CPU.
    """

    name: str
    benchmarks: Sequence[Benchmark]
    settings: Settings
    metric: str | None
    threads: int


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


class Elsewhere:
    """Trials by other processes, each of which computes with as many threads as a single one would.

    Args:
        crew: The processes.
        request: What they are told of the search.
    """

    def __init__(self, crew: Crew, request: Request) -> None:
        self._crew, self._request = crew, request

    def results(self, recipes: Sequence[Recipe]) -> Iterator[Result]:
        """Yield the results in the order of the recipes. Raises MergeError when processes are lost time and again."""
        return in_order(self._crew.make(try_out_here, [(self._request, recipe) for recipe in recipes]))


@contextmanager
def evaluator(objective: Objective, spreading: Spreading, device: str = "cpu") -> Iterator[Evaluator]:
    """Yield an evaluator; its processes end with the context.

    Args:
        objective: The held-out benchmarks, loaded.
        spreading: How many trials are carried out at a time, and where; and how many threads each of them computes
            with: the same anywhere, since sums may depend on it in their last digits.
        device: By the name that was given; machines of a cluster choose it themselves.
    """
    if not spreading.is_spread:
        with torch_threads(spreading.threads):
            yield InProcess(objective)
        return
    settings = replace(objective.settings, advance=_ignore)
    if spreading.engine != "local":
        settings = replace(settings, device=device)
    request = Request(uuid.uuid4().hex, objective.benchmarks, settings, objective.metric, spreading.threads)
    with crew(spreading) as members:
        yield Elsewhere(members, request)


def _ignore(items: int) -> None:
    """Advance nothing: progress is shown by the process that started the search."""


_here: dict[str, Objective] = {}  # by the name of the search; one at a time


def try_out_here(request: Request, recipe: Recipe) -> Result:
    """Carry out a trial in a process of the search, which keeps the benchmarks for the next one."""
    with torch_threads(request.threads):
        if request.name not in _here:
            _here.clear()
            settings = replace(request.settings, device=own_device(request.settings.device))
            _here[request.name] = Objective.prepare(request.benchmarks, settings, request.metric)
        return try_out(_here[request.name], recipe)
