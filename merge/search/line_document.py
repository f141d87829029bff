"""What ``merge barrier --json`` prints, typed so that its schema can be published."""

from __future__ import annotations

from typing import Any

from typing_extensions import NotRequired, TypedDict  # noqa: UP035 -- pydantic reads these on every Python


class MetricPoint(TypedDict):
    """One metric at one lambda."""

    value: float
    interval: list[float]
    n: int


class CurvePoint(TypedDict):
    """The metrics of one model on the line."""

    position: float  # lambda: 0 is A, 1 is B
    metrics: dict[str, MetricPoint]


class BarrierRow(TypedDict):
    """The height of a barrier and where it is."""

    metric: str
    definition: str  # linear | midpoint-mean
    value: float
    at: float


class Curve(TypedDict):
    """One line over one benchmark."""

    name: str  # naive, or aligned: A to a B whose units were permuted; either "… with reset" of BatchNorm statistics
    b: str
    benchmark: str
    split: str
    points: list[CurvePoint]
    barriers: list[BarrierRow]


class LayerBarrier(TypedDict):
    """The line along which only this layer moves from A to B, all others as in A."""

    layer: str
    line: str  # the name of the curve that it is a part of
    benchmark: str
    metrics: dict[str, MetricPoint]  # in the middle
    worse: dict[str, float]  # metric: how much worse than A in the middle; below 0 where it is better
    points: list[CurvePoint]  # from A to A with B's layer
    barriers: list[BarrierRow]  # between these two ends


class BarrierDocument(TypedDict):
    """What ``merge barrier --json`` prints."""

    a: str
    b: str
    definition: str  # the one that is printed first
    curves: list[Curve]
    layers: list[LayerBarrier]
    averaged: NotRequired[int]  # how many BatchNorm statistics are averaged on the line, and not measured anew
    reset: NotRequired[dict[str, Any]]  # on which data BatchNorm statistics were measured anew: name, samples, seed
