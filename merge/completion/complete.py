"""A recipe that names data ▸ the same recipe with statistics files, computed from that data.

They lie in a folder beside the output, ``OUT.statistics``, and stay there: the merge can be repeated and varied with
them. What the recipe then says is an ordinary merge.
"""

from __future__ import annotations

from dataclasses import replace

from ..planning.pending import is_pending, is_seeded
from ..recipe import Alignment, LayerRule, Merge, Model, Recipe
from ..registry import find_method
from .aligning import Aligning
from .checks import check_before
from .computing import Computing
from .learning import Learning, Resolved
from .options import calibration_options
from .places import all_models
from .reported_inputs import order_warnings


def complete(recipe: Recipe, computing: Computing) -> Recipe:
    """Compute what is missing and return the recipe with it.

    Raises:
        UsageError: Data and models do not fit, or statistics are in the way.
        MergeError: A model cannot be run.
    """
    from ..evaluation.inference import torch_threads

    check_before(recipe)
    warnings = tuple(order_warnings(recipe, computing.settings))
    with torch_threads(computing.threads):
        found = _complete(recipe.merge, "", Learning(recipe, computing), Aligning(recipe, computing))
    return replace(
        recipe,
        merge=found.merge,
        seed=recipe.seed if is_seeded(found.merge) else 0,
        keep=(*recipe.keep, *found.keep),
        remarks=(*recipe.remarks, *found.remarks),
        warnings=(*recipe.warnings, *warnings, *found.warnings),
    )


def items_of(recipe: Recipe) -> int | None:
    """Return how many items the models are run on at most, for a progress bar; None where that is not known before."""
    nested = [model.model for model in all_models(recipe.merge) if isinstance(model.model, Merge)]
    learning = [merge for merge in (recipe.merge, *nested) if find_method(merge.method).statistics]
    methods = [find_method(merge.method) for merge in learning]
    by_steps = any(isinstance(model.model, Alignment) and model.model.data for model in all_models(recipe.merge))
    if by_steps or any(method.sequential or method.learns_together for method in methods):
        return None
    return sum(int(calibration_options(merge).samples) * len(merge.models) for merge in learning)


def _complete(merge: Merge, label: str, learning: Learning, aligning: Aligning) -> Resolved:
    """Return a merge of which nothing is missing; what is nested in it comes first."""
    parts = {name: _inner(model, f"{label}{name}-", learning, aligning) for name, model in merge.parts.items()}
    merge = aligning.align(merge.with_parts(parts), label)
    if not is_pending(merge):
        return Resolved(merge)
    method = find_method(merge.method)
    if method.widens:
        return learning.jointly(merge)
    learn = learning.by_blocks if method.sequential else learning.together if method.learns_together else None
    return (learn or learning.one_by_one)(merge, method, label)


def _inner(model: Model, label: str, learning: Learning, aligning: Aligning) -> Model:
    if not isinstance(model.model, Merge) or not is_pending(model.model):
        return model
    found = _complete(model.model, label, learning, aligning)
    rules = tuple(LayerRule(pattern, keep=True) for pattern in found.keep)
    return replace(model, model=replace(found.merge, layers=(*rules, *found.merge.layers)))
