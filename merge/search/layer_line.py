"""Layer-wise linear mode connectivity: lines along which a single layer moves and all others stay.

Adilova et al. 2024, "Layer-wise linear mode connectivity", arXiv:2307.06966, average single layers of two networks and
find no barriers where whole networks have them. For a layer l,

    theta_l(lambda) = A, with (1 - lambda) A_l + lambda B_l in the place of A_l

Its barrier is that of `merge.search.barrier` between its own two ends, A and A with B's layer l, by both definitions:

    linear:         max over lambda of  L(theta_l(lambda)) - [(1 - lambda) L(theta_l(0)) + lambda L(theta_l(1))]
    midpoint-mean:  max over lambda of  L(theta_l(lambda)) - [L(theta_l(0)) + L(theta_l(1))] / 2

The second end need not be any good: a barrier says whether the way there rises above its ends, and `worse`, how much is
lost with the layer halfway. With A and B exchanged, all other layers stay B's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .barrier import Point, chosen, interpolate, loss_of, positions
from .curve_rows import barrier_rows, curve_points, metrics_of
from .line_document import LayerBarrier

if TYPE_CHECKING:
    from ..evaluation.candidate import Candidate
    from ..evaluation.outcome import Outcome
    from .members import Members

Layers = dict[str, set[str]]


def layers_of(members: Members) -> Layers:
    """Return the tensors of every layer, the layers in reading order."""
    from ..planning.blocks import layer_of

    found: dict[tuple[int, str], set[str]] = {}
    for row in members.rows:
        found.setdefault(layer_of(row.name), set()).add(row.name)
    return {name: found[place, name] for place, name in sorted(found, key=lambda layer: layer[0])}


def layer_barriers(
    members: Members, evaluate: Callable[[Candidate], Outcome], start: Point, count: int, about: tuple[str, str]
) -> list[LayerBarrier]:
    """Return the barrier of every layer.

    Args:
        members: A and B, which are streamed.
        evaluate: Gives the outcome of one model.
        start: A itself, where every such line begins.
        count: How many lambdas a line has, both ends included; an odd number, so that its middle is among them.
        about: The names of the line and of the benchmark.
    """
    line, benchmark = about
    rows: list[LayerBarrier] = []
    for layer, moved in layers_of(members).items():
        points = [start]
        for position in positions(count)[1:]:
            tensors = interpolate(members, position, only=moved.__contains__)
            outcome = evaluate(members.candidate(layer, tensors, [f"{layer}: {position}"]))
            points.append(Point(position, chosen(outcome)))
        rows.append(_row(layer, line, benchmark, points))
    return rows


def _row(layer: str, line: str, benchmark: str, points: list[Point]) -> LayerBarrier:
    start, middle = points[0].measures, points[len(points) // 2]
    return {
        "layer": layer,
        "line": line,
        "benchmark": benchmark,
        "metrics": metrics_of(middle),
        "worse": {name: loss_of(one) - loss_of(start[name]) for name, one in middle.measures.items()},
        "points": curve_points(points),
        "barriers": barrier_rows(points),
    }
