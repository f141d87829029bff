"""What of a recipe is still open before it can be run: statistics, orders of units, seeds."""

from __future__ import annotations

from ..recipe import Alignment, Merge, Model
from ..registry import find_method


def is_seeded(merge: Merge) -> bool:
    """Tell whether any method of a recipe draws random numbers, or data for statistics still to be computed."""
    nested = [model.model for model in merge.parts.values() if isinstance(model.model, Merge)]
    names = [merge.method, *(name for name, _ in merge.then)]
    return is_pending(merge) or any(find_method(name).seeded for name in names) or any(map(is_seeded, nested))


def is_pending(merge: Merge) -> bool:
    """Tell whether statistics, or orders of units, are still to be found for a merge or for one nested in it."""
    parts = merge.parts.values()
    nested = [model.model for model in parts if isinstance(model.model, Merge)]
    kind = find_method(merge.method).statistics
    unlearned = bool(kind) and any(kind not in model.statistics for model in merge.models)
    return unlearned or any(map(is_pending, nested)) or any(map(is_unaligned, parts))


def is_unaligned(model: Model) -> bool:
    """Tell whether a model's order of units is still to be found."""
    return isinstance(model.model, Alignment) and model.model.permutations is None
