"""Linear mode connectivity: what happens to loss and accuracy on the straight line between two models.

The line is theta(lambda) = (1 - lambda) A + lambda B. Two definitions of its barrier are in use, and both are given:

    linear:         max over lambda of  L(theta(lambda)) - [(1 - lambda) L(A) + lambda L(B)]
    midpoint-mean:  max over lambda of  L(theta(lambda)) - [L(A) + L(B)] / 2

The first (Entezari et al. 2022, arXiv:2110.06296) is never negative, as both ends give 0. The second is the one of Git
Re-Basin (Ainsworth et al. 2023, arXiv:2209.04836). They agree where the two models are equally good. For a metric that
is better when higher, such as accuracy, the barrier is how far the curve falls below, with all signs turned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..evaluation.outcome import LOWER_IS_BETTER

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluation.candidate import Candidate
    from ..evaluation.outcome import Measure, Outcome
    from .members import Members

Ends = tuple[int, int]  # the members at lambda 0 and 1
Definition = Literal["linear", "midpoint-mean"]
DEFINITIONS: tuple[Definition, ...] = ("linear", "midpoint-mean")
ENDS = (0.0, 1.0)


@dataclass(frozen=True)
class Point:
    """The measures of one model on the line, by metric."""

    position: float
    measures: Mapping[str, Measure]


@dataclass(frozen=True)
class Barrier:
    """The height of a barrier and the lambda where it is reached."""

    definition: Definition
    metric: str
    value: float
    at: float


def positions(points: int) -> list[float]:
    """Return this many values of lambda from 0 to 1, both included."""
    return [number / (points - 1) for number in range(points)]


def interpolate(
    members: Members, position: float, *, ends: Ends = (0, 1), only: Callable[[str], bool] = lambda name: True
) -> dict[str, Tensor]:
    """Return the tensors of a model on the line between two members, in the output's types.

    Args:
        members: The models, which are streamed.
        position: lambda in [0, 1]; at its ends the tensors are those of the models, bit for bit.
        ends: Which members are at lambda 0 and 1.
        only: Which tensors move; the others stay those of the first end.
    """
    from .members import accumulator, output_type

    found = {}
    for row in members.rows:
        share = position if only(row.name) else 0.0
        if share in ENDS:
            found[row.name] = members.read(ends[int(share)], row).to(output_type(row))
            continue
        first, second = (members.read(number, row).to(accumulator(row)) for number in ends)
        found[row.name] = first.mul_(1 - share).add_(second.mul_(share)).to(output_type(row))
    return found


def curve(
    members: Members,
    lambdas: Iterable[float],
    evaluate: Callable[[Candidate], Outcome],
    ends: Ends = (0, 1),
    known: MutableMapping[int, Mapping[str, Measure]] | None = None,
) -> list[Point]:
    """Evaluate the models at these places of the line, its ends first.

    Args:
        members: The models, which are streamed.
        lambdas: The places.
        evaluate: Gives the outcome of one model.
        ends: Which members are at lambda 0 and 1.
        known: The measures of members by themselves; those of the ends are added.
    """
    known = {} if known is None else known
    lambdas = list(lambdas)
    found = {}
    for position in sorted(lambdas, key=lambda place: place not in ENDS):  # of a model that fails its own name is told
        end = ends[int(position)] if position in ENDS else None
        measures = None if end is None else known.get(end)
        if measures is None:
            measures = chosen(evaluate(_candidate(members, position, ends)))
        if end is not None:
            known[end] = measures
        found[position] = Point(position, measures)
    return [found[position] for position in lambdas]


def _candidate(members: Members, position: float, ends: Ends) -> Candidate:
    """Return a model on the line, named after what it is."""
    first, second = (members.sources[end].location for end in ends)
    tensors = interpolate(members, position, ends=ends)
    if position in ENDS:
        return members.candidate(second if position else first, tensors, [f"{ends[int(position)]}"])
    name = f"lambda {position:g} between {first} and {second}"
    return members.candidate(name, tensors, [f"{ends[0]}-{ends[1]}: {position}"])


def chosen(outcome: Outcome) -> dict[str, Measure]:
    """Return the measures that a line is drawn of: the benchmark's main one, and the loss."""
    return {one.metric: one for one in outcome.measures if one.metric in (outcome.main.metric, "loss")}


def loss_of(measure: Measure) -> float:
    """Return the value, with its sign turned where more is better."""
    return measure.value if measure.metric in LOWER_IS_BETTER else -measure.value


def barriers(points: Sequence[Point], metric: str) -> list[Barrier]:
    """Return the barrier of a curve by both definitions; the points go from lambda 0 to 1."""
    heights = [(point.position, loss_of(point.measures[metric])) for point in points]
    first, last = heights[0][1], heights[-1][1]
    expected: dict[Definition, Callable[[float], float]] = {
        "linear": lambda position: (1 - position) * first + position * last,
        "midpoint-mean": lambda position: (first + last) / 2,
    }
    found = []
    for definition in DEFINITIONS:
        reach = [(height - expected[definition](position), position) for position, height in heights]
        value, at = max(reach, key=lambda one: one[0])
        found.append(Barrier(definition, metric, value, at))
    return found
