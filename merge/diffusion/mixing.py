"""Models of several families cannot be merged; one message says so before any weights are read."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..checkpoints.checkpoint import Source
from ..errors import MergeError
from ..recipe import Recipe
from .families import Family


def refuse_mixed(recipe: Recipe, sources: Sequence[Source], families: Sequence[Family | None]) -> None:
    """Refuse models of several families.

    What one has and the other lacks is no error where the recipe says what to do about it.

    Args:
        recipe: Says what is done about tensors that are missing or have another shape.
        sources: The models.
        families: Of each.

    Raises:
        MergeError: Naming both families.
    """
    known = [(source, family) for source, family in zip(sources, families, strict=True) if family is not None]
    for source, family in known[1:]:
        (first, other) = known[0]
        said = "error" not in (recipe.missing, recipe.mismatch)
        if family.name != other.name and not said:
            what = f"models of two families: {other.title} ({first.location}) and {family.title} ({source.location})"
            raise MergeError(what, hint="merge models of one family; merge inspect shows what a file is")
        if family.variant != other.variant and recipe.mismatch == "error":
            raise _of_other_inputs((first, other), (source, family))


def _of_other_inputs(first: tuple[Source, Family], second: tuple[Source, Family]) -> MergeError:
    (left, one), (right, two) = first, second
    plain = "text to image"
    what = (
        f"two variants of {one.title.partition(' (')[0]}, whose first convolutions take other inputs: "
        f"{one.variant or plain} ({left.location}) and {two.variant or plain} ({right.location})"
    )
    hint = f"--mismatch base takes the first convolution of {left.location} as it is and merges the rest"
    return MergeError(what, hint=hint)


def refuse_parts(first: tuple[str, Collection[str]], second: tuple[str, Collection[str]]) -> None:
    """Refuse models of which one lacks whole components of the other: said once, not for each of their tensors.

    Args:
        first: What a model is called in messages, and its tensors' names in diffusers' layout.
        second: The same of the other model.

    Raises:
        MergeError: Naming the components.
    """
    (one, names), (two, others) = first, second
    parts, found = ({name.partition(".")[0] for name in each} for each in (names, others))
    absent, beyond = sorted(parts - found), sorted(found - parts)
    if absent:
        what = f"has no {' and '.join(absent)}, which {one} has"
        raise MergeError(what, where=two, hint=f"--missing base keeps them of {one} and merges what both have")
    if beyond:
        what = f"has {' and '.join(beyond)}, which {one} lacks"
        raise MergeError(what, where=two, hint="--missing base leaves them out and merges what both have")
