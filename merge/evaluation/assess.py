"""All models on one benchmark, one model in memory at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..data_use import NO_DATA, joined_use
from ..progress import items_bar
from ..reports.environment import peak_memory
from .language.task import LanguageTask
from .locate import BundleLocation, Location
from .results import Ensemble, Evaluation
from .task import Benchmark, Settings, Task

if TYPE_CHECKING:
    from .outcome import Outcome


@dataclass(frozen=True)
class Assessed:
    """One model, or the ensemble, with its outcome and what stands behind it."""

    outcome: Outcome
    identity: str
    seconds: float
    data_use: str = NO_DATA
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
    settings = replace(settings, advance=progress)
    task = benchmark.prepare(settings)
    passes = sum(_passes(location, task) for location in models.values())
    with items_bar(task.n * passes, benchmark.name, quiet=quiet) as progress.advance:
        return assess_prepared(models, benchmark, task, settings, ensemble)


def assess_prepared(
    models: Mapping[str, Location], benchmark: Benchmark, task: Task, settings: Settings, ensemble: Ensemble | None
) -> dict[str, Assessed]:
    """Evaluate the models on a benchmark whose data are in memory, and their ensemble if one is asked for."""
    from .ensemble import check_ensemble, make_ensemble

    if ensemble:
        check_ensemble(models, task, ensemble, settings.model)
    assessed: dict[str, Assessed] = {}
    for name, location in models.items():
        if isinstance(location, BundleLocation):
            assessed |= _assess_bundle(location, task, settings)
        else:
            assessed[name] = _assess_one(location, task)
    if ensemble:
        given = {name: assessed[name] for name in models}
        assessed[f"ensemble({ensemble})"] = make_ensemble(given, models, benchmark, task, ensemble)
    return assessed


def _passes(location: Location, task: Task) -> int:
    """Return how often all items are counted for a model: experts of a mixture of language models count too."""
    several = isinstance(location, BundleLocation) and isinstance(task, LanguageTask)
    return 1 + len(location.bundle.members) if several and isinstance(location, BundleLocation) else 1


def _assess_one(location: Location, task: Task) -> Assessed:
    started = time.monotonic()
    candidate = location.load()
    outcome = task.evaluate(candidate)
    seconds = time.monotonic() - started
    used = _whole_use(candidate.data_use, outcome)
    return Assessed(outcome, candidate.identity, seconds, used, peak_memory())


def _assess_bundle(location: BundleLocation, task: Task, settings: Settings) -> dict[str, Assessed]:
    """Return the bundle under its name, and under longer names what its rule puts beside it; the time is for all."""
    bundle = location.bundle
    started = time.monotonic()
    outcomes = bundle.rule.evaluate(bundle, task, settings)
    seconds = time.monotonic() - started
    note = f"its time and items per second are of all its {len(outcomes)} rows"
    own = outcomes[""]
    outcomes = {**outcomes, "": replace(own, details={**own.details, "notes": [*own.details.get("notes", ()), note]})}
    found = {}
    for name, outcome in outcomes.items():
        row = f"{location.name} ({name})" if name else location.name
        cost = (0.0, None) if name else (seconds, peak_memory())
        identity = f"{bundle.identity} ({name})" if name else bundle.identity
        found[row] = Assessed(outcome, identity, cost[0], _whole_use(bundle.data_use, outcome), cost[1])
    return found


@dataclass
class Progress:
    """Passes numbers of items on to a bar that is made once the number of items is known."""

    advance: Callable[[int], None] = lambda items: None

    def __call__(self, items: int) -> None:
        """Advance by this many items."""
        self.advance(items)


def _whole_use(of_weights: str, outcome: Outcome) -> str:
    """Return which data the weights were found with, and which the evaluation itself consumed beyond its labels."""
    return joined_use([of_weights, outcome.details.get("data_use", NO_DATA)])


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
