"""The shape of ``results.json``, published by ``merge schema report``. Every part may be absent."""

from __future__ import annotations

from typing import Any

from typing_extensions import NotRequired, TypedDict  # noqa: UP035 -- pydantic reads these on every Python

from ..after.document import MeasuredDocument
from ..alignment.document import AlignmentRow
from ..evaluation.results import AverageRow, ComparisonRow, CorruptionRow, DetailRow, ResultRow, RetentionRow, TimingRow
from ..ledger_document import LedgerDocument
from ..rounding_document import RoundingDocument
from ..search.line_document import BarrierDocument
from ..search.matrix_document import BarrierMatrixDocument
from .mapping_search import CoefficientsBlock, GreedyBlock, LearnedBlock, SearchBlock, SweepBlock, WeightRow


class CosineRow(TypedDict):
    """The cosine of two models' differences within a layer; None where one did not move."""

    a: str
    b: str
    value: float | None


class LayerRow(TypedDict):
    """One layer: how far the models moved in it, in which directions, and how often against each other."""

    layer: str
    tensors: int
    parameters: int
    norms: dict[str, float | None]  # by model, of the difference to the base, or to the output where there is none
    cosines: list[CosineRow]
    conflict: float | None  # of the entries that at least two models moved, the share with both signs


class RunFacts(TypedDict):
    """What the whole run cost."""

    seconds: NotRequired[float]
    peak_memory_bytes: NotRequired[int]


class ReportDocument(TypedDict, total=False):
    """The whole of ``results.json``."""

    title: str
    results: list[ResultRow]
    comparisons: list[ComparisonRow]
    averages: list[AverageRow]
    retention: list[RetentionRow]
    details: list[DetailRow]
    timings: list[TimingRow]
    notes: list[str]
    corruption: list[CorruptionRow]
    greedy: GreedyBlock
    learned: LearnedBlock
    coefficients: CoefficientsBlock
    weights: list[WeightRow]
    alignments: list[AlignmentRow]
    barrier: BarrierDocument
    barrier_matrix: BarrierMatrixDocument
    layers: list[LayerRow]
    layers_measured_from: str  # the base | the output
    search: SearchBlock
    sweep: SweepBlock
    statistics: LedgerDocument
    rounding: RoundingDocument
    measured: MeasuredDocument
    merge: dict[str, Any]  # output, recipe, content id, counts, bytes, seconds
    models: list[dict[str, Any]]  # name, location, content id
    environment: dict[str, str]  # versions
    run: RunFacts
