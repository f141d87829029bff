"""What a user should look at in a plan that is sound."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator

from ..checkpoints.derived import whole
from ..recipe import DEFAULT_SHARD_BYTES, Recipe
from .bound import Bound, BoundCall
from .layout import is_single_file
from .opening import Opener
from .pending import is_seeded
from .rows import Row

_OTHER_FILES = (".ckpt", ".pt", ".pth", ".bin", ".gguf", ".sft")  # of names that other programs give their files


def warnings_of(opener: Opener, recipe: Recipe, bound: Bound, averaged: int) -> list[str]:
    """Return the warnings about a plan.

    Args:
        opener: What was opened.
        recipe: The recipe.
        bound: The same, bound to what was opened.
        averaged: Number of BatchNorm statistics that are averaged.
    """
    repeated = dict.fromkeys(whole(opener.sources[position]).location for position in _repeated(bound))
    warnings = [f"{location} is given more than once" for location in repeated]
    if isinstance(bound, BoundCall) and _lacks_weights(bound):
        default = bound.method.options.declarations["weight"].shown_default
        warnings.append(f"only some models have a weight; the others have the default, {default}")
    if isinstance(bound, BoundCall) and bound.method.statistics and (total := _sum_of_weights(bound)) is not None:
        warnings.append(f"the weights sum to {total:g}, not 1: what is averaged (biases, norms) is scaled by that")
    path = recipe.output.path
    if path is not None and is_single_file(path) and recipe.output.max_shard_size != DEFAULT_SHARD_BYTES:
        warnings.append(f"{path.name} is one file: the shard size has no effect")
    if path is not None and path.suffix in _OTHER_FILES:
        stem = path.name.removesuffix(path.suffix)
        warnings.append(f"{path.name} will be a folder: outputs are safetensors; {stem}.safetensors is a single file")
    if averaged:
        warnings.append(f"{averaged} BatchNorm statistics are averaged, not recalibrated: merge bn-reset does that")
    if recipe.seed and isinstance(bound, BoundCall) and not is_seeded(recipe.merge):
        warnings.append(f"{recipe.merge.method} draws no random numbers: the seed has no effect")
    return warnings


def nothing_chosen(bound: Bound, rows: Iterable[Row]) -> list[str]:
    """Return a warning where a method that chooses among the tensors leaves all of them."""
    if not (isinstance(bound, BoundCall) and bound.method.selective) or any(row.action == "merge" for row in rows):
        return []
    return [f"{bound.method.name} leaves every tensor as it is: none is of the kind that it works on"]


def _repeated(bound: Bound) -> Iterator[int]:
    """Yield models that are given to one method twice. A stack may well take several parts of one model."""
    if isinstance(bound, BoundCall):
        if not bound.method.assembles:
            given = Counter(child for child in bound.inputs if isinstance(child, int))
            yield from (position for position, count in given.items() if count > 1)
        for child in bound.inputs:
            yield from _repeated(child)


def _sum_of_weights(bound: BoundCall) -> float | None:
    """Return the sum of weights that are given for all models, where it is not 1."""
    weights = bound.options.get("weight")
    if not isinstance(weights, tuple) or not all(isinstance(weight, int | float) for weight in weights):
        return None
    total = math.fsum(weights)
    return None if math.isclose(total, 1, rel_tol=1e-6) else total


def _lacks_weights(bound: BoundCall) -> bool:
    weights = bound.options.get("weight")
    return isinstance(weights, tuple) and None in weights
