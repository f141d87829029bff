"""A greedy selection as a section of a report, and what is worth saying of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..evaluation.outcome import LOWER_IS_BETTER
from ..recipe import Model
from .greedy import Score, Staircase
from .objective import Objective

FEW_ITEMS = 1000  # below, equal scores are frequent and the two rules of acceptance part ways


def remarks(
    models: Sequence[Model], identities: Sequence[str], objective: Objective, reused: int, kept_in: Path
) -> list[str]:
    """Return what a user should know: equal models, few items, scores that were known."""
    found = [
        f"{models[number].model} holds the same weights as {models[identities.index(identity)].model}"
        for number, identity in enumerate(identities)
        if identities.index(identity) < number
    ]
    if objective.n < FEW_ITEMS:
        found.append(f"only {objective.n} held-out items: equal scores are frequent, --accept ge and gt may differ")
    if reused:
        found.append(f"{reused} scores were known from {kept_in}")
    return found


def higher_is_better(scores: Sequence[Score]) -> bool:
    """Tell whether higher scores mean better models."""
    return scores[0].metric not in LOWER_IS_BETTER


def greedy_section(
    staircase: Staircase,
    scores: Sequence[Score],
    identities: Sequence[str],
    models: Sequence[Model],
    objective: Objective,
    rule: tuple[str, float],
) -> dict[str, Any]:
    """Return the selection as JSON values; ``rule`` is the acceptance and the minimum gain."""
    names = [str(model.model) for model in models]
    return {
        "benchmark": objective.name,
        "split": objective.split,
        "metric": staircase.best.metric,
        "higher_is_better": higher_is_better(scores),
        "accept": rule[0],
        "minimum_gain": rule[1],
        "members": [
            {"model": names[number], "identity": identities[number], "rank": rank + 1, **scores[number].as_json()}
            for rank, number in enumerate(staircase.order)
        ],
        "steps": [
            {
                "model": names[step.members[-1]],
                "members": [names[number] for number in step.members],
                "best_before": step.best_before,
                "accepted": step.accepted,
                **step.score.as_json(),
            }
            for step in staircase.steps
        ],
        "selected": [names[number] for number in staircase.selected],
        **staircase.best.as_json(),
    }
