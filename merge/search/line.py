"""The line between two checkpoints over benchmarks: curves, barriers, and one barrier for every layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import MergeError
from ..plan import make_plan
from ..recipe import Alignment, Merge, Model, Recipe
from .barrier import DEFINITIONS, Point, barriers, chosen, curve, interpolate, loss_of, positions
from .line_document import BarrierDocument, BarrierRow, Curve, LayerBarrier, MetricPoint
from .members import Members

if TYPE_CHECKING:
    from ..evaluation.task import Benchmark, Task
    from .resetting import Resetting

NAIVE, ALIGNED = "naive", "aligned"
WITH_RESET = "{} with reset"
MIDDLE = 0.5


@dataclass(frozen=True)
class LineChoice:
    """Which points of which lines.

    Attributes:
        points: Number of lambdas from 0 to 1.
        aligned: B with its units permuted to fit A, for a second curve.
        layers: Whether every layer gets a barrier of its own.
        definition: Which barrier is printed first.
        reset: Measures BatchNorm statistics anew, for a further curve over the aligned line, or else the naive one.
    """

    points: int = 25
    aligned: str | Model | None = None
    layers: bool = False
    definition: str = DEFINITIONS[0]
    reset: Resetting | None = None

    def lines(self, b: str) -> list[tuple[str, str | Model, Resetting | None]]:
        """Return every line: its name, its end, and what measures statistics on it."""
        found: list[tuple[str, str | Model, Resetting | None]] = [(NAIVE, b, None)]
        found += [(ALIGNED, self.aligned, None)] if self.aligned else []
        return found + ([(WITH_RESET.format(found[-1][0]), found[-1][1], self.reset)] if self.reset else [])

    def evaluations(self, layers: int) -> int:
        """Return how many models are evaluated on every benchmark."""
        return self.points * len(self.lines("")) + (layers if self.layers else 0)


def explore(a: str, b: str, tasks: Sequence[tuple[Benchmark, Task]], choice: LineChoice) -> BarrierDocument:
    """Evaluate the line between two models; one model is in memory, both are streamed.

    Raises:
        MergeError: The models do not fit together, or not the benchmark.
    """
    document: BarrierDocument = {"a": a, "b": b, "definition": choice.definition, "curves": [], "layers": []}
    if choice.reset is not None:
        document["reset"] = choice.reset.facts
    for name, other, reset in choice.lines(b):
        with two_models(a, other) as members:
            if choice.reset is None and (averaged := averaged_statistics(members)):
                document["averaged"] = averaged
            document["curves"] += [_curve(members, name, _name(other), *pair, choice.points, reset) for pair in tasks]
            if choice.layers and name == NAIVE:
                document["layers"] += [row for pair in tasks for row in _layers(members, *pair)]
    return document


@contextmanager
def two_models(a: str, b: str | Model) -> Iterator[Members]:
    """Open two models, whose tensors must fit together, and close them afterwards."""
    try:
        plan = make_plan(Recipe(Merge("soup", (Model(a), Model(b) if isinstance(b, str) else b))))
    except MergeError as error:
        if not error.hint or "--missing" not in error.hint:
            raise
        raise type(error)(error.what, where=error.where, hint="a line needs the same tensors at both ends") from None
    try:
        yield Members(plan)
    finally:
        plan.close()


def averaged_statistics(members: Members) -> int:
    """Return how many BatchNorm statistics a line averages, which fit no model on it."""
    return sum(row.action == "average" for row in members.rows)


def _name(model: str | Model) -> str:
    """Return what a curve's end is called: a location, or that it is an aligned model."""
    if isinstance(model, str):
        return model
    return f"{model.model.model.model} (aligned)" if isinstance(model.model, Alignment) else str(model.model)


def layer_names(members: Members) -> list[str]:
    """Return the layers of the models in reading order."""
    from ..planning.blocks import layer_of

    found = {layer_of(row.name): None for row in members.rows}
    return [name for _, name in sorted(found, key=lambda place: place[0])]


def _curve(
    members: Members, name: str, b: str, benchmark: Benchmark, task: Task, points: int, reset: Resetting | None
) -> Curve:
    evaluate = task.evaluate if reset is None else lambda candidate: task.evaluate(reset(candidate))
    found = curve(members, positions(points), evaluate)
    rows: list[BarrierRow] = [
        {"metric": one.metric, "definition": one.definition, "value": one.value, "at": one.at}
        for metric in found[0].measures
        for one in barriers(found, metric)
    ]
    return {
        "name": name,
        "b": b,
        "benchmark": benchmark.name,
        "split": benchmark.split,
        "points": [{"position": point.position, "metrics": _metrics(point)} for point in found],
        "barriers": rows,
    }


def _layers(members: Members, benchmark: Benchmark, task: Task) -> list[LayerBarrier]:
    from ..planning.blocks import layer_of

    (start,) = curve(members, [0.0], task.evaluate)
    rows: list[LayerBarrier] = []
    for layer in layer_names(members):
        moved = {row.name for row in members.rows if layer_of(row.name)[1] == layer}
        tensors = interpolate(members, MIDDLE, only=moved.__contains__)
        outcome = task.evaluate(members.candidate(layer, tensors, [layer]))
        point = Point(MIDDLE, chosen(outcome))
        worse = {name: loss_of(one) - loss_of(start.measures[name]) for name, one in point.measures.items()}
        rows.append({"layer": layer, "benchmark": benchmark.name, "metrics": _metrics(point), "worse": worse})
    return rows


def _metrics(point: Point) -> dict[str, MetricPoint]:
    return {
        name: {"value": one.value, "interval": [one.low, one.high], "n": one.n} for name, one in point.measures.items()
    }
