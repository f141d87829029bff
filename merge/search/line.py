"""The line between two checkpoints over benchmarks: curves, barriers, and one barrier for every layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import MergeError
from ..plan import make_plan
from ..recipe import Alignment, Merge, Model, Recipe
from .barrier import DEFINITIONS, Point, curve, positions
from .curve_rows import barrier_rows, curve_points
from .layer_line import layer_barriers
from .line_document import BarrierDocument, Curve
from .members import Members

if TYPE_CHECKING:
    from ..evaluation.candidate import Candidate
    from ..evaluation.outcome import Outcome
    from ..evaluation.task import Benchmark, Task
    from .resetting import Resetting

NAIVE, ALIGNED = "naive", "aligned"
WITH_RESET = "{} with reset"
LAYER_POINTS = 5


@dataclass(frozen=True)
class LineChoice:
    """Which points of which lines.

    Attributes:
        points: Number of lambdas from 0 to 1.
        aligned: B with its units permuted to fit A, for a second curve.
        layers: Number of lambdas for each layer by itself, on every line; 0: layers get no barriers of their own.
        definition: Which barrier is printed first.
        reset: Measures BatchNorm statistics anew, for a further curve over the aligned line, or else the naive one.
    """

    points: int = 25
    aligned: str | Model | None = None
    layers: int = 0
    definition: str = DEFINITIONS[0]
    reset: Resetting | None = None

    def lines(self, b: str) -> list[tuple[str, str | Model, Resetting | None]]:
        """Return every line: its name, its end, and what measures statistics on it."""
        found: list[tuple[str, str | Model, Resetting | None]] = [(NAIVE, b, None)]
        found += [(ALIGNED, self.aligned, None)] if self.aligned else []
        return found + ([(WITH_RESET.format(found[-1][0]), found[-1][1], self.reset)] if self.reset else [])

    def evaluations(self, layers: int) -> int:
        """Return how many models are evaluated on every benchmark."""
        return (self.points + (self.layers - 1) * layers * bool(self.layers)) * len(self.lines(""))


def explore(a: str, b: str, tasks: Sequence[tuple[Benchmark, Task]], choice: LineChoice) -> BarrierDocument:
    """Evaluate the line between two models; one model is in memory, both are streamed.

    Raises:
        MergeError: The models do not fit together, or not the benchmark.
    """
    document: BarrierDocument = {"a": a, "b": b, "definition": choice.definition, "curves": [], "layers": []}
    if choice.reset is not None:
        document["reset"] = choice.reset.facts
    for name, other, reset in choice.lines(b):
        with open_models([a, other]) as members:
            if choice.reset is None and (averaged := averaged_statistics(members)):
                document["averaged"] = averaged
            for benchmark, task in tasks:
                evaluate = evaluation(task, reset)
                points = curve(members, positions(choice.points), evaluate)
                document["curves"].append(curve_row(name, _name(other), benchmark, points))
                if choice.layers:
                    about = (name, benchmark.name)
                    document["layers"] += layer_barriers(members, evaluate, points[0], choice.layers, about)
    return document


@contextmanager
def open_models(models: Sequence[str | Model]) -> Iterator[Members]:
    """Open models, whose tensors must fit together, and close them afterwards."""
    given = tuple(Model(model) if isinstance(model, str) else model for model in models)
    try:
        plan = make_plan(Recipe(Merge("soup", given)))
    except MergeError as error:
        if not error.hint or not any(flag in error.hint for flag in ("--missing", "--mismatch")):
            raise
        raise type(error)(error.what, where=error.where, hint="a line needs the same tensors at both ends") from None
    try:
        yield Members(plan)
    finally:
        plan.close()


def averaged_statistics(members: Members) -> int:
    """Return how many BatchNorm statistics a line averages, which fit no model on it."""
    return sum(row.action == "average" for row in members.rows)


def evaluation(task: Task, reset: Resetting | None) -> Callable[[Candidate], Outcome]:
    """Return what evaluates a model, after its BatchNorm statistics are measured where that is asked for."""
    return task.evaluate if reset is None else lambda candidate: task.evaluate(reset(candidate))


def curve_row(name: str, b: str, benchmark: Benchmark, points: Sequence[Point]) -> Curve:
    """Return one line over one benchmark."""
    return {
        "name": name,
        "b": b,
        "benchmark": benchmark.name,
        "split": benchmark.split,
        "points": curve_points(points),
        "barriers": barrier_rows(points),
    }


def _name(model: str | Model) -> str:
    """Return what a curve's end is called: a location, or that it is an aligned model."""
    if isinstance(model, str):
        return model
    return f"{model.model.model.model} (aligned)" if isinstance(model.model, Alignment) else str(model.model)
