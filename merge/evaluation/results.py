"""What an evaluation returns: rows of plain JSON values, typed so that their schema can be published."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from typing_extensions import TypedDict  # pydantic reads this one on every Python

from .calibration import CalibrationBin

Ensemble = Literal["logits", "probs"]


class ClassCount(TypedDict):
    """One class: how many of its images are right, with Wilson's 95 % interval of the share."""

    label: int
    n: int
    right: int
    interval: list[float]


class ResultRow(TypedDict):
    """One model, one benchmark, one metric."""

    model: str  # exactly as it was given, or ``ensemble(logits)``
    benchmark: str
    metric: str  # the benchmark's main metric first: accuracy | loss | per_class_accuracy | perplexity | …
    value: float  # a fraction, or nats for the loss
    n: int  # items that the value is a mean over
    interval: list[float]  # [low, high], 95 %
    seed: int
    data_use: str  # which data the merge consumed besides the weights
    split: str
    head: str  # ``own``, or the fixed head as the benchmark names it
    identity: str  # content id of the weights, as merges record it


class ComparisonRow(TypedDict):
    """One model against the first model named, on the same images."""

    model: str
    reference: str
    benchmark: str
    metric: str  # what is compared item by item
    difference: float  # model minus reference
    n: int
    only_model_right: int | None  # None where items are not simply right or wrong
    only_reference_right: int | None
    test: str  # exact McNemar, or a permutation test of the mean difference
    p_value: float  # of this pair alone, two-sided
    p_value_holm: float  # corrected for all the pairs on all the benchmarks


class AverageRow(TypedDict):
    """One model: the mean of a metric over the benchmarks that have it, each counting once."""

    model: str
    metric: str
    value: float
    interval: list[float]
    benchmarks: list[str]


class RetentionRow(TypedDict):
    """One model on a benchmark as a share of what that benchmark's own expert reaches."""

    model: str
    benchmark: str
    expert: str
    metric: str
    value: float  # accuracy over the expert's accuracy
    interval: list[float]


class CorruptionRow(TypedDict):
    """One model on a benchmark under corruptions, by Hendrycks and Dietterich 2019; all five severities are in it."""

    model: str
    benchmark: str  # the clean one
    reference: str  # the first model named
    mean_corruption_error: float  # mean of ``errors``; 1 is as bad as the reference
    errors: dict[str, float]  # by corruption: errors over those of the reference, each summed over severities
    error_rates: dict[str, float]  # by corruption: 1 - accuracy, as a mean over severities


class DetailRow(TypedDict):
    """What stands behind the numbers of a classifier: its classes, and how sure it was."""

    model: str
    benchmark: str
    classes: list[ClassCount]
    calibration: list[CalibrationBin]


class TimingRow(TypedDict):
    """How long one model took on one benchmark, loading included."""

    model: str
    benchmark: str
    seconds: float
    items_per_second: float
    peak_memory_bytes: int | None  # the most that the process has held so far; None where the system does not say


class EvaluationDocument(TypedDict):
    """The whole of ``merge eval --json``."""

    results: list[ResultRow]
    comparisons: list[ComparisonRow]
    averages: list[AverageRow]
    retention: list[RetentionRow]
    corruption: list[CorruptionRow]
    details: list[DetailRow]
    timings: list[TimingRow]
    notes: list[str]


@dataclass(frozen=True)
class Evaluation:
    """The rows of one evaluation, in the order benchmark, model, metric."""

    results: list[ResultRow] = field(default_factory=list)
    comparisons: list[ComparisonRow] = field(default_factory=list)
    averages: list[AverageRow] = field(default_factory=list)
    retention: list[RetentionRow] = field(default_factory=list)
    corruption: list[CorruptionRow] = field(default_factory=list)
    details: list[DetailRow] = field(default_factory=list)
    timings: list[TimingRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> EvaluationDocument:
        """Return the rows as one document of plain JSON values."""
        return {
            "results": self.results,
            "comparisons": self.comparisons,
            "averages": self.averages,
            "retention": self.retention,
            "corruption": self.corruption,
            "details": self.details,
            "timings": self.timings,
            "notes": self.notes,
        }
