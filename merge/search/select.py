"""A greedy soup from checkpoints: score each model, try them in order, record what was selected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine import RunSettings, survey
from ..plan import make_plan
from ..recipe import Merge, Model, Recipe
from .context import context_of, rules_of
from .greedy import Acceptance, Score, Staircase, greedy
from .greedy_section import greedy_section, higher_is_better, remarks
from .members import Members
from .objective import Objective
from .running_mean import RunningMean
from .scores import ScoreBook

if TYPE_CHECKING:
    from ..evaluation.candidate import Candidate
    from .resetting import Resetting


@dataclass(frozen=True)
class GreedyChoice:
    """How to select.

    Attributes:
        accept: ``ge``: a model joins that changes nothing; ``gt``: only one that helps.
        minimum_gain: How much a model must add.
        scores: The file that keeps the scores.
        reset: Measures BatchNorm statistics of every model and candidate anew.
    """

    accept: Acceptance
    minimum_gain: float
    scores: Path
    reset: Resetting | None = None


def greedy_soup(
    recipe: Recipe, objective: Objective, choice: GreedyChoice, note: Callable[[str], None]
) -> tuple[Recipe, dict[str, Any]]:
    """Select the members of a soup by their score on held-out data.

    Whether the models go together at all is found out before any of them is evaluated.

    Args:
        recipe: A uniform soup of all the models.
        objective: The held-out benchmarks, loaded.
        choice: The rule of acceptance and the file of scores.
        note: Told what is worth knowing on the way.

    Returns:
        The recipe of the selected soup, and what happened as a section of a report.

    Raises:
        MergeError: A model cannot be read or evaluated.
    """
    models = recipe.merge.models
    plan = make_plan(recipe)
    try:
        members = Members(plan)
        survey(plan, RunSettings(device="cpu"))
        book = ScoreBook(choice.scores, context_of(objective, rules_of(plan), reset=choice.reset))
        scoring = Scoring(objective, choice.reset, book)
        scores, identities = _score_alone(members, scoring)
        staircase = _climb(members, scoring, choice, scores, identities)
    finally:
        plan.close()
    for line in remarks(models, identities, objective, book.reused, choice.scores):
        note(line)
    section = greedy_section(staircase, scores, identities, models, objective, (choice.accept, choice.minimum_gain))
    section |= {"reset": choice.reset.facts} if choice.reset else {}
    note(f"selected {len(section['selected'])} of {len(models)} models: {', '.join(section['selected'])}")
    selected = soup_of([models[number] for number in staircase.selected], recipe)
    remark = f"selected greedily on {objective.name} ({len(staircase.selected)} of {len(models)} models)"
    return replace(selected, data_use="held-out", remarks=(*recipe.remarks, remark)), section


@dataclass(frozen=True)
class Scoring:
    """How a model gets its score.

    Attributes:
        objective: The held-out benchmarks, loaded.
        reset: Measures its BatchNorm statistics first.
        book: Keeps the scores.
    """

    objective: Objective
    reset: Resetting | None
    book: ScoreBook

    def score(self, identities: Sequence[str], candidate: Callable[[], Candidate]) -> Score:
        """Return the score of the average of these contents; the candidate is made only where it is not known."""
        return self.book.score(identities, lambda: self._evaluate(candidate()))

    def _evaluate(self, candidate: Candidate) -> Score:
        return self.objective.score(candidate if self.reset is None else self.reset(candidate))


def _score_alone(members: Members, scoring: Scoring) -> tuple[list[Score], list[str]]:
    """Return the score and the content id of every model, one in memory at a time."""
    scores, identities = [], []
    for number in range(len(members)):
        candidate, identity = members.alone(number)
        scores.append(scoring.score([identity], lambda one=candidate: one))  # type: ignore[misc]
        identities.append(identity)
    return scores, identities


def _climb(
    members: Members, scoring: Scoring, choice: GreedyChoice, scores: Sequence[Score], identities: Sequence[str]
) -> Staircase:
    mean = RunningMean(members)

    def evaluate(numbers: tuple[int, ...]) -> Score:
        known = [identities[number] for number in numbers]
        return scoring.score(known, lambda: candidate(numbers, known))

    def candidate(numbers: tuple[int, ...], known: list[str]) -> Candidate:
        for number in numbers[mean.count : -1]:  # whoever was accepted since the last one
            mean.add(number)
        return members.candidate(f"soup of {len(numbers)}", mean.with_one_more(numbers[-1]), known)

    return greedy(
        scores,
        evaluate,
        accept=choice.accept,
        minimum_gain=choice.minimum_gain,
        higher_is_better=higher_is_better(scores),
    )


def soup_of(models: Sequence[Model], recipe: Recipe) -> Recipe:
    """Return the recipe that writes the average of these models; one alone is passed through."""
    merge = recipe.merge
    several = Merge(merge.method, tuple(models), merge.base, merge.options)
    return replace(recipe, merge=several if len(models) > 1 else Merge("passthrough", tuple(models), merge.base))
