"""What an evaluation returns: rows of plain JSON values, typed so that their schema can be published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from typing_extensions import TypedDict  # pydantic reads this one on every Python

Ensemble = Literal["logits", "probs"]

# Merging so far reads weights alone. The field is on every row so that a reader need not guess.
NO_DATA_USED = "none"


class ResultRow(TypedDict):
    """One model, one benchmark, one metric."""

    model: str  # exactly as it was given, or ``ensemble(logits)``
    benchmark: str
    metric: str  # accuracy | loss | per_class_accuracy
    value: float  # a fraction, or nats for the loss
    n: int  # images that the value is a mean over
    interval: list[float]  # [low, high], 95 %
    seed: int
    data_use: str  # which data the merge consumed besides the weights
    split: str
    head: str  # ``own``, or the fixed head as the benchmark names it
    identity: str  # ``sha256:…`` of the weight files


class ComparisonRow(TypedDict):
    """One model against the first model named, on the same images."""

    model: str
    reference: str
    benchmark: str
    metric: str  # accuracy
    difference: float  # model minus reference, a fraction
    n: int
    only_model_right: int
    only_reference_right: int
    test: str  # exact McNemar
    p_value: float  # of this pair alone, two-sided
    p_value_holm: float  # corrected for all the pairs of this benchmark


class EvaluationDocument(TypedDict):
    """The whole of ``merge eval --json``."""

    results: list[ResultRow]
    comparisons: list[ComparisonRow]


@dataclass(frozen=True)
class Evaluation:
    """The rows of one evaluation, in the order benchmark, model, metric."""

    results: list[ResultRow]
    comparisons: list[ComparisonRow]

    def as_json(self) -> EvaluationDocument:
        """Return the rows as one document of plain JSON values."""
        return {"results": self.results, "comparisons": self.comparisons}
