"""What ``merge barrier --json`` prints of three and more models, typed so that its schema can be published."""

from __future__ import annotations

from typing import Any

from typing_extensions import NotRequired, TypedDict  # noqa: UP035 -- pydantic reads these on every Python

from .line_document import Curve


class PairCurve(Curve):
    """The line between two of the models over one benchmark."""

    first: int  # places among the models, counted from 0; lambda is 0 at the first
    second: int
    a: str


class BarrierMatrix(TypedDict):
    """The barriers between every two models."""

    name: str  # of the lines: naive, or aligned; either "… with reset" of BatchNorm statistics
    benchmark: str
    split: str
    metric: str
    definition: str
    values: list[list[float]]  # as many rows and columns as models; symmetric, with zeros on the diagonal


class BarrierMatrixDocument(TypedDict):
    """What ``merge barrier`` prints of three and more models."""

    models: list[str]
    definition: str  # the one that is printed first
    pairs: list[PairCurve]
    matrices: list[BarrierMatrix]
    aligned: NotRequired[list[str]]  # the same models with their units in one order, the first as it is
    averaged: NotRequired[int]  # how many BatchNorm statistics are averaged on the lines, and not measured anew
    reset: NotRequired[dict[str, Any]]  # on which data BatchNorm statistics were measured anew: name, samples, seed
