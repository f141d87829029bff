"""The models' weights by the score of what they give on held-out data: even steps for two models, else random ones.

Matena and Raffel 2021, "Merging models with Fisher-weighted averaging", arXiv:2111.09832; the points are those of the
authors' code. Of two models: (1, 0), (0.98, 0.02) … (0, 1). Of more: draws from the uniform distribution over weights
that sum to 1. The best is the first of those with the highest score, so that ties of two models prefer the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import MergeError, UsageError
from ..evaluation.outcome import LOWER_IS_BETTER
from ..recipe import Recipe
from ..registry import find_method
from .evaluators import InProcess, Result, evaluator
from .greedy import TIE, Score
from .objective import Objective

if TYPE_CHECKING:
    from ..distributed.spreading import Spreading

POINTS = 51
Weights = tuple[float, ...]


@dataclass(frozen=True)
class Point:
    """Weights that were tried; ``score`` is None where ``failure`` says why there is none."""

    weights: Weights
    score: Score | None = None
    failure: str = ""


def points(models: int, seed: int) -> list[Weights]:
    """Return the weights to try, one tuple for each point; the seed is for more than two models."""
    if models == 2:
        last = POINTS - 1
        return [((last - step) / last, step / last) for step in range(POINTS)]
    import numpy as np

    return [tuple(draw) for draw in np.random.default_rng(seed).dirichlet(np.ones(models), POINTS).tolist()]


def search_coefficients(
    recipe: Recipe,
    objective: Objective,
    note: Callable[[str], None],
    spreading: Spreading | None = None,
    device: str = "cpu",
) -> tuple[Recipe, dict[str, Any]]:
    """Find the weights of a merge on held-out data.

    Every point is merged in memory and evaluated; nothing is written.

    Args:
        recipe: The merge, without weights, and with all its statistics.
        objective: The held-out benchmarks, loaded.
        note: Told of points that cannot be merged, and of the weights that are chosen.
        spreading: Processes among which points are spread, and their threads; None: this one has all points.
        device: Of the machines of a cluster, by its name.

    Returns:
        The recipe with the weights of the best point, and all points as a section of a report.

    Raises:
        UsageError: The method has no weights, or the benchmarks have no such metric.
        MergeError: No point can be merged and evaluated.
    """
    check_weights(recipe)
    tried = list(_try(recipe, objective, spreading, device))
    best = best_of(tried)
    failed = [point for point in tried if point.score is None]
    if failed:
        note(f"{len(failed)} of {len(tried)} points have no score; the first: {failed[0].failure}")
    chosen = (f"{model.model} {weight:.4g}" for model, weight in zip(recipe.merge.models, best.weights, strict=True))
    note(f"weights chosen on {objective.name}: {', '.join(chosen)}")
    remark = f"weights chosen on {objective.name}, the best of {len(tried)} points"
    found = replace(with_weights(recipe, best.weights), data_use="held-out", remarks=(*recipe.remarks, remark))
    return found, _section(recipe, objective, tried, best)


def check_weights(recipe: Recipe) -> None:
    """Refuse a method without weights, and weights that are given where they are to be found.

    Raises:
        UsageError: Either.
    """
    weight = find_method(recipe.merge.method).options.declarations.get("weight")
    if weight is None or not weight.per_model:
        raise UsageError(f"{recipe.merge.method} has no weights of the models that could be searched")
    if "weight" in recipe.merge.options or any("weight" in model.options for model in recipe.merge.models):
        raise UsageError("--strategy coefficients finds the weights itself", hint=f"leave {weight.flag} out")


def with_weights(recipe: Recipe, weights: Sequence[float]) -> Recipe:
    """Return the recipe with a weight for each model."""
    models = tuple(
        replace(model, options={**model.options, "weight": weight})
        for model, weight in zip(recipe.merge.models, weights, strict=True)
    )
    return replace(recipe, merge=replace(recipe.merge, models=models))


def best_of(tried: Sequence[Point]) -> Point:
    """Return the first point that no other one beats by more than rounding.

    Raises:
        MergeError: None has a score.
    """
    best: Point | None = None
    for point in tried:
        if point.score is not None and (best is None or best.score is None or _gain(point.score, best.score) > TIE):
            best = point
    if best is None:
        raise MergeError(f"no weights of the models can be merged and evaluated: {tried[0].failure}")
    return best


def _gain(score: Score, before: Score) -> float:
    gain = score.value - before.value
    return -gain if score.metric in LOWER_IS_BETTER else gain


def _try(recipe: Recipe, objective: Objective, spreading: Spreading | None, device: str) -> Iterator[Point]:
    """Yield all points with what came of them, in order."""
    wanted = points(len(recipe.merge.models), recipe.seed)
    recipes = [_named(recipe, weights) for weights in wanted]
    if spreading is None:
        yield from map(partial(_point, objective), wanted, InProcess(objective).results(recipes))
        return
    with evaluator(objective, spreading, device) as others:
        for weights, result in zip(wanted, others.results(recipes), strict=True):
            if spreading.is_spread:
                objective.settings.advance(objective.n)
            yield _point(objective, weights, result)


def _named(recipe: Recipe, weights: Weights) -> Recipe:
    return replace(with_weights(recipe, weights), name="weights " + ", ".join(f"{weight:g}" for weight in weights))


def _point(objective: Objective, weights: Weights, result: Result) -> Point:
    if isinstance(result, UsageError):  # a fault of the request, the same at all points
        raise result
    if isinstance(result, MergeError):
        return Point(weights, failure=str(result))
    return Point(weights, objective.mean(result))


def _section(recipe: Recipe, objective: Objective, tried: Sequence[Point], best: Point) -> dict[str, Any]:
    assert best.score is not None  # noqa: S101 -- the best one has a score
    metric = best.score.metric
    names = [str(model.model) for model in recipe.merge.models]
    return {
        "benchmark": objective.name,
        "split": objective.split,
        "metric": metric,
        "higher_is_better": metric not in LOWER_IS_BETTER,
        "models": names,
        "points": [_row(point, best) for point in tried],
        "weights": [{"model": name, "weight": weight} for name, weight in zip(names, best.weights, strict=True)],
        **best.score.as_json(),
    } | ({"seed": recipe.seed} if len(names) > 2 else {})


def _row(point: Point, best: Point) -> dict[str, Any]:
    row = {"weights": list(point.weights), "accepted": point is best}
    if point.score is None:
        return row | {"score": None, "failure": point.failure}
    return row | point.score.as_json()
