"""A learned soup from checkpoints: weights by gradient descent on held-out data, recorded as a plain soup."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..evaluation.outcome import Outcome
from ..evaluation.task import GradientTask
from ..plan import Plan, make_plan
from ..recipe import LayerRule, Merge, Model, Recipe
from .learned import Coefficients, LearnedChoice, learn
from .members import Members
from .objective import Objective
from .streamed import MemberTensors, average

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluation.candidate import Candidate


def learned_soup(
    recipe: Recipe, objective: Objective, choice: LearnedChoice, note: Callable[[str], None]
) -> tuple[Recipe, dict[str, Any]]:
    """Learn the weights of a soup on held-out data.

    Args:
        recipe: A uniform soup of all the models.
        objective: One held-out benchmark, loaded.
        choice: How to learn.
        note: Told the cost before it starts.

    Returns:
        The recipe of the soup with the learned weights, and what happened as a section of a report.

    Raises:
        UsageError: The benchmark's kind has no gradient.
        MergeError: A model cannot be read, or the loss is not finite.
    """
    (task,) = objective.tasks
    if not isinstance(task, GradientTask):
        kind = objective.benchmarks[0].kind
        raise UsageError(f"nothing can be learned on a benchmark of kind '{kind}'", hint="use --strategy greedy")
    plan = make_plan(recipe)
    try:
        members = Members(plan)
        tensors = MemberTensors(members, choice.memory)
        note(_cost(members, tensors, choice, task.n))
        names = [row.name for row in members.rows if row.action == "merge"] if choice.by_tensor else []
        rows = len(members.rows) if choice.by_tensor else 1
        start = _candidate(members, tensors, Coefficients(rows, len(members), choice.learning_rate).alpha())
        before = task.evaluate(start)
        untouched: set[str] = set()
        gradients = task.differentiate(start)
        coefficients, history = learn(tensors, rows, len(members), gradients, task.n, choice, untouched)
        if untouched:
            note(f"{len(untouched)} tensors have no gradient on this benchmark, such as '{min(untouched)}'")
        alpha = coefficients.alpha()
        after = task.evaluate(_candidate(members, tensors, alpha))
        section = _section(recipe, objective, choice, coefficients, (before, after), history)
        note(_weights(section))
        return _recorded(recipe, plan, members, alpha, names, coefficients, objective), section
    finally:
        plan.close()


def _weights(section: dict[str, Any]) -> str:
    shown = ", ".join(f"{row['model']} {row['weight']:.4g}" for row in section["weights"])
    return f"weights learned on {section['benchmark']}: {shown}"


def _cost(members: Members, tensors: MemberTensors, choice: LearnedChoice, items: int) -> str:
    steps = choice.steps(items)
    kept = len(members) - tensors.streamed
    reads = members.nbytes * (kept + tensors.streamed * (2 * steps + 2)) / 1e9
    return (
        f"{steps} steps; {kept} of {len(members)} models stay in memory, {tensors.streamed} are read twice a step: "
        f"{reads:.2f} GB to read in all"
    )


def _candidate(members: Members, tensors: MemberTensors, alpha: Tensor) -> Candidate:
    """Return the soup with these weights, in the types of the output."""
    from .members import output_type

    found = average(tensors, alpha)
    types = {row.name: output_type(row) for row in members.rows}
    return members.candidate("learned soup", {name: tensor.to(types[name]) for name, tensor in found.items()}, ["soup"])


def _recorded(
    recipe: Recipe,
    plan: Plan,
    members: Members,
    alpha: Tensor,
    names: Sequence[str],
    coefficients: Coefficients,
    objective: Objective,
) -> Recipe:
    """Return the soup with its weights written out: beside the models, or in one rule for every tensor."""
    weights = alpha.tolist()
    models = recipe.merge.models
    layers: tuple[LayerRule, ...] = ()
    if names:
        by_name = dict(zip((row.name for row in members.rows), weights, strict=True))
        layers = tuple(
            LayerRule(f"/^{re.escape(name)}$/", models=tuple({"weight": weight} for weight in by_name[name]))
            for name in names
        )
    else:
        models = tuple(
            Model(model.model, {"weight": weight}, model.where)
            for model, weight in zip(models, weights[0], strict=True)
        )
    temperature = coefficients.temperature.item()
    remark = f"weights learned on {objective.name}, with a temperature of {temperature:.6g} that is not in the weights"
    merge = Merge("soup", models, recipe.merge.base, {}, layers)
    return replace(recipe, merge=merge, data_use="held-out", remarks=(*recipe.remarks, remark))


def _section(
    recipe: Recipe,
    objective: Objective,
    choice: LearnedChoice,
    coefficients: Coefficients,
    outcomes: tuple[Outcome, Outcome],
    history: Sequence[float],
) -> dict[str, Any]:
    before, after = outcomes
    weights = coefficients.alpha().mean(dim=0).tolist()
    names = [str(model.model) for model in recipe.merge.models]
    return {
        "benchmark": objective.name,
        "split": objective.split,
        **asdict(choice),
        "loss_before": before.measure("loss").value,
        "loss_after": after.measure("loss").value,
        "metric": after.main.metric,
        "score_before": before.main.value,
        "score_after": after.main.value,
        "temperature": coefficients.temperature.item(),
        "weights": [{"model": name, "weight": weight} for name, weight in zip(names, weights, strict=True)],
        "history": list(history),
    }
