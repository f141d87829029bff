"""The lines between every two of several models: their curves, and a matrix of barriers.

Three or more models whose units are in one order are strongly connected where no pair of them has a barrier: one order
for each model, not one for each pair (Sharma et al. 2024, "Simultaneous linear connectivity of neural networks modulo
permutation", arXiv:2404.06498). Every model is evaluated once as an end, whatever the number of its pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from .barrier import DEFINITIONS, curve, positions
from .line import ALIGNED, NAIVE, WITH_RESET, averaged_statistics, curve_row, evaluation, open_models
from .matrix_document import BarrierMatrix, BarrierMatrixDocument, PairCurve
from .members import Members

if TYPE_CHECKING:
    from ..evaluation.outcome import Measure
    from ..evaluation.task import Benchmark, Task
    from .resetting import Resetting


@dataclass(frozen=True)
class MatrixChoice:
    """Which points of which lines.

    Attributes:
        points: Number of lambdas from 0 to 1.
        aligned: The models after the first with their units in one order, for a second matrix.
        definition: Which barrier is printed first.
        reset: Measures BatchNorm statistics anew, for a further matrix over the aligned lines, or else the naive ones.
    """

    points: int = 25
    aligned: tuple[str, ...] = ()
    definition: str = DEFINITIONS[0]
    reset: Resetting | None = None

    def lines(self, models: Sequence[str]) -> list[tuple[str, Sequence[str], Resetting | None]]:
        """Return every kind of line: its name, its models, and what measures statistics on it."""
        found: list[tuple[str, Sequence[str], Resetting | None]] = [(NAIVE, models, None)]
        found += [(ALIGNED, [models[0], *self.aligned], None)] if self.aligned else []
        return found + ([(WITH_RESET.format(found[-1][0]), found[-1][1], self.reset)] if self.reset else [])

    def evaluations(self, models: int) -> int:
        """Return how many models are evaluated on every benchmark."""
        pairs = models * (models - 1) // 2
        return (models + pairs * (self.points - 2)) * (1 + bool(self.aligned) + (self.reset is not None))


def explore_pairs(
    models: Sequence[str], tasks: Sequence[tuple[Benchmark, Task]], choice: MatrixChoice
) -> BarrierMatrixDocument:
    """Evaluate the lines between every two models; one model is in memory, all are streamed.

    Raises:
        MergeError: The models do not fit together, or not the benchmark.
    """
    document: BarrierMatrixDocument = {
        "models": list(models),
        "definition": choice.definition,
        "pairs": [],
        "matrices": [],
    }
    document |= {"aligned": [models[0], *choice.aligned]} if choice.aligned else {}
    document |= {"reset": choice.reset.facts} if choice.reset is not None else {}
    for name, others, reset in choice.lines(models):
        with open_models(others) as members:
            if choice.reset is None and (averaged := averaged_statistics(members)):
                document["averaged"] = averaged
            document["pairs"] += _pairs(members, name, others, tasks, choice.points, reset)
    document["matrices"] = _matrices(document["pairs"], len(models))
    return document


def _pairs(
    members: Members,
    name: str,
    models: Sequence[str],
    tasks: Sequence[tuple[Benchmark, Task]],
    points: int,
    reset: Resetting | None,
) -> list[PairCurve]:
    found: list[PairCurve] = []
    for benchmark, task in tasks:
        evaluate, known = evaluation(task, reset), dict[int, Mapping[str, "Measure"]]()
        for first, second in combinations(range(len(models)), 2):
            line = curve(members, positions(points), evaluate, (first, second), known)
            row = curve_row(name, models[second], benchmark, line)
            found.append({"first": first, "second": second, "a": models[first], **row})
    return found


def _matrices(pairs: Sequence[PairCurve], count: int) -> list[BarrierMatrix]:
    """Return the barriers of all pairs by line, benchmark, metric and definition."""
    found: dict[tuple[str, str, str, str, str], BarrierMatrix] = {}
    for pair in pairs:
        for row in pair["barriers"]:
            key = (pair["name"], pair["benchmark"], pair["split"], row["metric"], row["definition"])
            matrix = found.setdefault(key, _empty(key, count))
            first, second = pair["first"], pair["second"]
            matrix["values"][first][second] = matrix["values"][second][first] = row["value"]
    return list(found.values())


def _empty(key: tuple[str, str, str, str, str], count: int) -> BarrierMatrix:
    name, benchmark, split, metric, definition = key
    return {
        "name": name,
        "benchmark": benchmark,
        "split": split,
        "metric": metric,
        "definition": definition,
        "values": [[0.0] * count for _ in range(count)],
    }
