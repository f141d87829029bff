"""A line's points and barriers as the JSON of ``merge barrier`` has them."""

from __future__ import annotations

from collections.abc import Sequence

from .barrier import Point, barriers
from .line_document import BarrierRow, CurvePoint, MetricPoint


def metrics_of(point: Point) -> dict[str, MetricPoint]:
    """Return the measures of one model."""
    return {
        name: {"value": one.value, "interval": [one.low, one.high], "n": one.n} for name, one in point.measures.items()
    }


def curve_points(points: Sequence[Point]) -> list[CurvePoint]:
    """Return the points of a line."""
    return [{"position": point.position, "metrics": metrics_of(point)} for point in points]


def barrier_rows(points: Sequence[Point]) -> list[BarrierRow]:
    """Return the barriers of a line, for every metric and by both definitions."""
    return [
        {"metric": one.metric, "definition": one.definition, "value": one.value, "at": one.at}
        for metric in points[0].measures
        for one in barriers(points, metric)
    ]
