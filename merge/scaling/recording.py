"""What a search for coefficients came to, in words for people and as facts for statistics files and reports."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..evaluation.outcome import LOWER_IS_BETTER
from .trials import ZERO

if TYPE_CHECKING:
    from .descent import Learned
    from .job import Job


def nothing(learned: Learned, job: Job) -> str:
    """Return in a sentence that no candidate is better than the base."""
    zero = learned.zero.found.score
    scores = [row["score"] for row in learned.trials if row["candidate"] != ZERO]
    tried = min(scores) if zero.metric in LOWER_IS_BETTER else max(scores)
    names = ", ".join(task.name for task in job.material.validation)
    return (
        f"no coefficients of the task vectors are better than 0 on {names}: the base has {zero.metric} "
        f"{zero.value:.4f} (n = {zero.n}), the best of {len(scores)} candidates {tried:.4f}"
    )


def outcome(learned: Learned, job: Job) -> str:
    """Return in a sentence which candidate was chosen, beside the base and the best uniform scale."""
    best, zero, uniform = (one.found.score for one in (learned.best, learned.zero, learned.uniform))
    names = ", ".join(task.name for task in job.material.validation)
    interval = f"[{best.low:.4f}, {best.high:.4f}]"
    return (
        f"chosen on {names}: {learned.best.name}, {best.metric} {best.value:.4f} {interval} (n = {best.n}); "
        f"the base has {zero.value:.4f}, the best uniform scale {learned.uniform.at:g} {uniform.value:.4f}"
    )


def about(job: Job, learned: Learned) -> dict[str, Any]:
    """Return what a statistics file records, its own coefficients aside."""
    material = job.material
    names, numbers = ", ".join(task.name for task in material.tasks), [task.items.count for task in material.tasks]
    validation = [{"name": task.name, "number": task.items.count} for task in material.validation]
    learning = {
        "outcome": outcome(learned, job),
        "validation": validation,
        "seen": material.seen,
        "metric": learned.best.found.score.metric,
        "best": learned.best.name,
        "trials": learned.trials,
        "history": learned.history,
        "untouched": learned.untouched,
        "sets": material.about,
    }
    return {
        "data": {"name": names, "number": sum(numbers)},
        "options": {"preset": job.preset, **asdict(job.choice)},
        "seed": job.seed,
        "parts_seed": job.parts_seed,
        "learning": learning,
    }
