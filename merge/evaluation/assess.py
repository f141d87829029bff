"""All models on one benchmark, one model in memory at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import MergeError
from ..progress import items_bar
from ..reports.environment import peak_memory
from .results import NO_DATA_USED, Ensemble, Evaluation
from .task import Benchmark, ScoringTask, Settings, Task

if TYPE_CHECKING:
    from .candidate import Candidate
    from .locate import Location
    from .outcome import Outcome


@dataclass(frozen=True)
class Assessed:
    """One model, or the ensemble, with its outcome and what stands behind it."""

    outcome: Outcome
    identity: str
    seconds: float
    data_use: str = NO_DATA_USED
    peak_memory: int | None = None


def assess(
    models: Mapping[str, Location],
    benchmark: Benchmark,
    settings: Settings,
    ensemble: Ensemble | None,
    *,
    quiet: bool,
) -> dict[str, Assessed]:
    """Evaluate the models, and their ensemble if one is asked for."""
    progress = Progress()
    task = benchmark.prepare(replace(settings, advance=progress))
    assessed: dict[str, Assessed] = {}
    with items_bar(task.n * len(models), benchmark.name, quiet=quiet) as progress.advance:
        for name, location in models.items():
            started = time.monotonic()
            candidate = location.load()
            outcome = task.evaluate(candidate)
            seconds = time.monotonic() - started
            used = _data_use(candidate, outcome)
            assessed[name] = Assessed(outcome, candidate.identity, seconds, used, peak_memory())
    if ensemble:
        assessed[f"ensemble({ensemble})"] = _ensemble(assessed, benchmark, task, ensemble)
    return assessed


@dataclass
class Progress:
    """Passes numbers of items on to a bar that is made once the number of items is known."""

    advance: Callable[[int], None] = lambda items: None

    def __call__(self, items: int) -> None:
        """Advance by this many items."""
        self.advance(items)


def _data_use(candidate: Candidate, outcome: Outcome) -> str:
    """Return which data the weights were found with, and which the evaluation itself consumed beyond its labels."""
    used = {*candidate.data_use.split(", "), outcome.details.get("data_use", NO_DATA_USED)} - {NO_DATA_USED}
    return ", ".join(sorted(used)) or NO_DATA_USED


def _ensemble(assessed: Mapping[str, Assessed], benchmark: Benchmark, task: Task, kind: Ensemble) -> Assessed:
    from .ensemble import Average

    average = Average(kind, [])
    if not isinstance(task, ScoringTask):
        raise MergeError(f"a benchmark of kind '{benchmark.kind}' has no ensemble of outputs", where=benchmark.name)
    for name, one in assessed.items():
        assert one.outcome.logits is not None  # noqa: S101 -- a scoring task gives logits
        average.add(one.outcome.logits, name)
    used = {use for one in assessed.values() for use in one.data_use.split(", ")} - {NO_DATA_USED}
    # Its heads and files are those of its members, which have rows of their own.
    outcome = task.score(average.logits(), average.name)
    return Assessed(outcome, average.name, 0.0, ", ".join(sorted(used)) or NO_DATA_USED)


def add_rows(evaluation: Evaluation, assessed: Mapping[str, Assessed], benchmark: Benchmark, seed: int) -> None:
    """Enter what was found on one benchmark, measure by measure."""
    for model, one in assessed.items():
        details = one.outcome.details
        for measure in one.outcome.measures:
            evaluation.results.append(
                {
                    "model": model,
                    "benchmark": benchmark.name,
                    "metric": measure.metric,
                    "value": measure.value,
                    "n": measure.n,
                    "interval": [measure.low, measure.high],
                    "seed": seed,
                    "data_use": one.data_use,
                    "split": benchmark.split,
                    "head": details.get("head", "own"),
                    "identity": one.identity,
                }
            )
        if "classes" in details:
            row = {"model": model, "benchmark": benchmark.name}
            kept = {"classes": details["classes"], "calibration": details["calibration"]}
            evaluation.details.append({**row, **kept})  # type: ignore[typeddict-item]
        if one.seconds:
            speed = one.outcome.items.size / one.seconds
            cost = {"seconds": one.seconds, "items_per_second": speed, "peak_memory_bytes": one.peak_memory}
            evaluation.timings.append({"model": model, "benchmark": benchmark.name, **cost})  # type: ignore[typeddict-item]
        evaluation.notes.extend(f"{benchmark.name}, {model}: {note}" for note in details.get("notes", ()))
