"""The greedy soup: models enter one after another, each stays only if the soup with it is no worse.

Wortsman et al. 2022, "Model soups", arXiv:2203.05482, recipe 1. Models are sorted by their own held-out score, the
best first; equal ones keep the order in which they were named. The first is the soup. Each next model joins when the
score of the average with it is at least the best so far (``ge``, the paper) or above it (``gt``, the authors' code).
There is one pass: a rejected model is never tried again, and none is taken out. Only the score on the data of the
selection is never below that of the best single model; nothing is said about other data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Acceptance = Literal["ge", "gt"]
TIE = 1e-12  # scores nearer to one another are equal: shares such as 0.7 + 0.2 and 0.9 differ by rounding alone


@dataclass(frozen=True)
class Score:
    """A held-out score with its 95 % interval, over ``n`` items."""

    value: float
    low: float
    high: float
    n: int
    metric: str = "accuracy"

    def as_json(self) -> dict[str, Any]:
        """Return the score as a report has it."""
        return {"score": self.value, "interval": [self.low, self.high], "n": self.n}


@dataclass(frozen=True)
class Step:
    """One model that was tried: the candidate's members, with the new one last, and what became of it."""

    members: tuple[int, ...]
    score: Score
    best_before: float
    accepted: bool


@dataclass(frozen=True)
class Staircase:
    """A whole greedy selection; models are told by their numbers in the order in which they were named.

    Attributes:
        order: All models, the best first.
        steps: One for every model but the first.
        selected: Members of the soup in the order in which they joined.
        best: Score of the soup.
    """

    order: tuple[int, ...]
    steps: tuple[Step, ...]
    selected: tuple[int, ...]
    best: Score


def greedy(
    scores: Sequence[Score],
    evaluate: Callable[[tuple[int, ...]], Score],
    *,
    accept: Acceptance = "ge",
    minimum_gain: float = 0.0,
    higher_is_better: bool = True,
) -> Staircase:
    """Select the members of a soup.

    Args:
        scores: Score of every model alone.
        evaluate: Gives the score of the average of these models. It is called with the members so far and one more.
        accept: Whether a model that changes nothing joins.
        minimum_gain: How much better than the best so far a candidate must be; with ``gt``, more than that.
        higher_is_better: False for a loss.
    """
    sign = 1.0 if higher_is_better else -1.0
    order = rank(scores, higher_is_better=higher_is_better)
    selected: tuple[int, ...] = (order[0],)
    best = scores[order[0]]
    steps: list[Step] = []
    for number in order[1:]:
        members = (*selected, number)
        score = evaluate(members)
        gain = sign * (score.value - best.value) - minimum_gain
        accepted = gain > TIE if accept == "gt" else gain >= -TIE
        steps.append(Step(members, score, best.value, accepted))
        if accepted:
            selected, best = members, score
    return Staircase(order, tuple(steps), selected, best)


def rank(scores: Sequence[Score], *, higher_is_better: bool) -> tuple[int, ...]:
    """Return the models' numbers, the best first; equal ones in the order in which they were named."""
    sign = -1.0 if higher_is_better else 1.0
    return tuple(sorted(range(len(scores)), key=lambda number: round(sign * scores[number].value, 12)))
