"""The search: ask the sampler, look up or carry out its trials, tell it what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import MergeError
from ..evaluation.outcome import LOWER_IS_BETTER
from ..recipe import Recipe
from .evaluators import Evaluator, Result
from .greedy import Score
from .objective import Objective
from .pareto import front
from .samplers import Position, Sampler
from .space import Space, Values, settings_of
from .trials import Trial, TrialBook, merge_key

IDLE_BATCHES = 20  # of nothing new, after which nothing new is expected: whole numbers and steps run out


@dataclass(frozen=True)
class Problem:
    """What is searched.

    Attributes:
        space: The open options.
        fill: Gives the recipe with these numbers in them.
        identities: Content id of every model by its location in the recipe.
    """

    space: Space
    fill: Callable[[Values], Recipe]
    identities: Mapping[str, str]


class Search:
    """A search in progress, and what it has found.

    Attributes:
        trials: All so far, in the order in which the sampler asked; no options twice.
        reused: How many of them were known from the file.
    """

    def __init__(self, problem: Problem, evaluator: Evaluator, book: TrialBook, note: Callable[[int], None]) -> None:
        self._problem, self._evaluator, self._book, self._note = problem, evaluator, book, note
        self._numbers: dict[tuple[float, ...], int] = {}  # of the trial with these options
        self._failures: list[MergeError] = []
        self.trials: list[Trial] = []
        self.reused = 0

    def run(self, sampler: Sampler, trials: int) -> None:
        """Try until there are so many trials, or the sampler has nothing more to ask.

        Raises:
            MergeError: None of the first batch could be evaluated; or the file cannot be written.
        """
        idle = 0
        while len(self.trials) < trials and idle < IDLE_BATCHES and (positions := sampler.ask()):
            before = len(self.trials)
            batch = self._try(positions, trials)
            idle = idle + 1 if len(self.trials) == before else 0
            if len(batch) < len(positions):
                return
            sampler.tell([cost(trial) for trial in batch])

    def _try(self, positions: Sequence[Position], most: int) -> list[Trial]:
        """Return the trial at every position, up to the first that would be one too many."""
        asked, new = [], []
        for position in positions:
            values = self._problem.space.at(position)
            key = tuple(values.values())
            if key not in self._numbers:
                if len(self._numbers) == most:
                    break
                self._numbers[key] = len(self._numbers)
                new.append(Trial(self._numbers[key], values))
            asked.append(self._numbers[key])
        self._carry_out(new)
        if len(self._failures) == len(self.trials):
            raise self._failures[0]
        return [self.trials[number] for number in asked]

    def _carry_out(self, new: Sequence[Trial]) -> None:
        """Complete new trials, from the file where it has them, and keep them in their order."""
        recipes = [_named(self._problem.fill(trial.values), trial) for trial in new]
        keys = [merge_key(recipe, self._problem.identities) for recipe in recipes]
        known = [self._book.find(key) for key in keys]
        todo = [recipe for recipe, found in zip(recipes, known, strict=True) if found is None]
        results = self._evaluator.results(todo)
        for trial, key, found in zip(new, keys, known, strict=True):
            if found is None:
                self._finish(trial, key, next(results))
            else:
                self.reused += 1
                self.trials.append(replace(trial, measures=found))
            self._note(1)

    def _finish(self, trial: Trial, key: str, result: Result) -> None:
        if isinstance(result, MergeError):
            self._failures.append(result)
            self.trials.append(replace(trial, failure=str(result)))
        else:
            self.trials.append(replace(trial, measures=tuple(result)))
            self._book.keep(key, self.trials[-1])

    @property
    def best(self) -> Trial:
        """The trial of the best score; the first among equals."""
        return min(self.trials, key=cost)

    def pareto(self) -> list[int]:
        """Return the numbers of the trials that none beats on all benchmarks at once."""
        sound = [trial for trial in self.trials if not trial.failure]
        return [sound[place].number for place in front([costs(trial) for trial in sound])]


def _named(recipe: Recipe, trial: Trial) -> Recipe:
    """Return a recipe called by its options, as messages about it should."""
    return replace(recipe, name=", ".join(settings_of(trial.values)))


def score(trial: Trial) -> Score:
    """Return the mean over the benchmarks of a trial that did not fail."""
    return Objective.mean(trial.measures)


def costs(trial: Trial) -> list[float]:
    """Return what each benchmark has, turned so that lower is better."""
    return [measure.value if measure.metric in LOWER_IS_BETTER else -measure.value for measure in trial.measures]


def cost(trial: Trial) -> float:
    """Return the mean over the benchmarks, turned so that lower is better; infinity for a failure."""
    found = costs(trial)
    return sum(found) / len(found) if found else math.inf
