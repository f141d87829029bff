"""Do folders of components have the same ones? Said once for each, not for each of hundreds of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..checkpoints.checkpoint import Source
from ..checkpoints.components.part import SAFETY_CHECKER, Part, parts_of
from ..checkpoints.derived import whole
from ..errors import MergeError
from ..recipe import Recipe
from .bound import Bound, BoundCall, leaves
from .checks import keeper
from .reference import Reference

_HINT = "--missing base, skip or average-present says what to do"


def check_components(bound: Bound, opened: Sequence[Source], reference: Reference, recipe: Recipe) -> None:
    """Refuse models that lack whole components of the others, where nothing says what becomes of those.

    Args:
        bound: The merge.
        opened: The sources.
        reference: What decides names.
        recipe: What was asked for.

    Raises:
        MergeError: Naming the component and both models.
    """
    if not isinstance(bound, BoundCall) or reference.is_assembled or recipe.missing != "error":
        return
    kept = keeper(recipe.keep, reference.tensors)
    known = opened[reference.position]
    own = parts_of(known)
    for number in dict.fromkeys(leaves(bound)):
        other, found = opened[number], parts_of(opened[number])
        if own and found:
            _refuse(own, found, known, other, kept)
            _refuse(found, own, other, known, lambda name: False)


def _refuse(
    having: Sequence[Part], lacking: Sequence[Part], owner: Source, other: Source, kept: Callable[[str], object]
) -> None:
    there = {part.prefix for part in lacking}
    absent = [part for part in having if part.prefix not in there and part.folder != SAFETY_CHECKER]
    absent = [part for part in absent if not all(kept(part.prefix + name) for name in part.source.tensors)]
    if absent:
        names = " and ".join(f"'{part.folder or part.weights_name}'" for part in absent)
        what = f"has no component {names}, which {whole(owner).location} has"
        raise MergeError(what, where=whole(other).location, hint=_HINT)
