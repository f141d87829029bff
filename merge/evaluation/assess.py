"""All models on one benchmark, one model in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .results import NO_DATA_USED, ComparisonRow, Ensemble, ResultRow

if TYPE_CHECKING:
    from .data import LabelledImages
    from .scoring import Outcome
    from .specification import Benchmark


@dataclass(frozen=True)
class Settings:
    """How to run, the same for all models and benchmarks."""

    ensemble: Ensemble | None
    model: str | None
    device: str
    batch_size: int
    seed: int


@dataclass(frozen=True)
class Assessed:
    """One model, or the ensemble, with its outcome and what stands behind it."""

    model: str
    outcome: Outcome
    head: str
    identity: str


def assess(
    models: Sequence[str], benchmark: Benchmark, settings: Settings
) -> tuple[list[ResultRow], list[ComparisonRow]]:
    """Evaluate the models, and their ensemble if one is asked for, and compare them with the first model."""
    from .data import load_images
    from .significance import compare

    data = load_images(benchmark.data)
    assessed = _assess_models(models, benchmark, data, settings)
    rows = [row for one in assessed for row in _rows(one, benchmark, data, settings.seed)]
    return rows, compare({one.model: one.outcome for one in assessed}, benchmark.name)


def _assess_models(
    models: Sequence[str], benchmark: Benchmark, data: LabelledImages, settings: Settings
) -> list[Assessed]:
    from .classifier import load_classifier
    from .heads import read_head
    from .scoring import Average, run, score

    head = read_head(benchmark, settings.device)
    average = Average(settings.ensemble, []) if settings.ensemble else None
    assessed = []
    for model in models:
        classifier = load_classifier(model, benchmark, head, override=settings.model, device=settings.device)
        logits = run(classifier, data, benchmark, batch_size=settings.batch_size, seed=settings.seed)
        outcome = score(logits, data.labels)
        assessed.append(Assessed(model, outcome, classifier.head_label, classifier.identity))
        if average:
            average.add(logits, model)
    if average:
        outcome = score(average.logits(), data.labels)
        # Its heads and files are those of its members, which have rows of their own.
        assessed.append(Assessed(average.name, outcome, head=average.name, identity=average.name))
    return assessed


def _rows(assessed: Assessed, benchmark: Benchmark, data: LabelledImages, seed: int) -> list[ResultRow]:
    from .metrics import measure

    return [
        {
            "model": assessed.model,
            "benchmark": benchmark.name,
            "metric": measured.metric,
            "value": measured.value,
            "n": len(data.labels),
            "interval": [measured.low, measured.high],
            "seed": seed,
            "data_use": NO_DATA_USED,
            "split": benchmark.data.split,
            "head": assessed.head,
            "identity": assessed.identity,
        }
        for measured in measure(assessed.outcome, data.labels)
    ]
