"""``merge: rebasin`` ▸ what it stands for: an average of models that are aligned to the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import UsageError
from ..method import Method
from ..recipe import Alignment, Merge, Model


def expand(
    merge: Merge,
    method: Method,
    *,
    files: Mapping[str, Any] | None = None,
    permutations: Sequence[str] = (),
    data: str | None = None,
) -> Merge:
    """Return the merge that a method which aligns stands for.

    Args:
        merge: The merge; its calibration options say how orders are found.
        method: Its method.
        files: ``groups``: file of the groups.
        permutations: Files with the orders, one for each model after the first; then none are found.
        data: Data for matching by activations or gradients.

    Raises:
        UsageError: Another number of files than of models to align, or a model that is no location.
    """
    first, *others = merge.models
    if permutations and len(permutations) != len(others):
        what = f"--permutations is given {len(permutations)} times for {len(others)} models to align"
        raise UsageError(what, where=merge.where, hint="give it once for each model after the first")
    groups = (files or {}).get("groups")
    found = [replace(first, data=None)]
    for number, model in enumerate(others):
        if not isinstance(model.model, str) or not isinstance(first.model, str):
            raise UsageError(f"{method.name} aligns models in files", where=model.where or merge.where)
        moved, to = Model(model.model, where=model.where), Model(first.model, where=first.where)
        order = permutations[number] if permutations else None
        where = model.where or merge.where
        alignment = Alignment(moved, to, merge.calibration, order, groups, model.data or data, where)
        found.append(replace(model, model=alignment, data=None))
    return replace(merge, method=method.merged_by, models=tuple(found), calibration={})
