"""From opened models to the sources that rows are made of: vocabularies aligned, layers stacked, names matched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..checkpoints.beside import AS_IT_IS, Beside
from ..checkpoints.part import PartSource
from ..recipe import Recipe
from .assembling import assemble
from .bound import Bound, BoundCall, assembles, leaves, with_positions
from .checks import check_assembled
from .names import NOTHING_MATCHED, Matched, match_names
from .opening import Opener
from .rows import Skip
from .vocabularies import check_vocabularies


@dataclass
class Arranged:
    """A bound recipe whose leaves have the names of the output.

    Attributes:
        bound: The recipe.
        matched: Each source's tensors under the names of the output.
        skips: Tensors of the models that are taken nowhere.
        notes: What was resolved.
        kept: Tensors that stay as the output's model has them because no one uses them and another model lacks them.
        beside: What becomes of the files beside the weights.
    """

    bound: Bound
    matched: list[Matched] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kept: frozenset[str] = frozenset()
    beside: Beside = AS_IT_IS


def arrange(recipe: Recipe, bound: Bound, opener: Opener) -> Arranged:
    """Arrange the sources of a recipe; sources made from others are appended to the opened ones.

    Raises:
        UsageError: Layers or tokens are asked for that the models do not have.
        MergeError: Models do not fit together.
    """
    arranged = Arranged(bound)
    if isinstance(bound, BoundCall) and bound.method.widens:
        from .widening import widen

        arranged.bound = widen(recipe, bound, opener)
    if recipe.output.tokenizer is not None or recipe.output.chat_template is not None:
        _align_vocabularies(recipe, arranged, opener)
    check_vocabularies(recipe, opener)
    if isinstance(arranged.bound, BoundCall) and assembles(arranged.bound):
        check_assembled(arranged.bound)
        assembled = assemble(arranged.bound, opener.sources, recipe.missing)
        arranged.bound, arranged.skips = assembled.bound, assembled.skips
        arranged.notes += assembled.notes
        arranged.matched = [_part(source) for source in opener.sources]
    else:
        _fit_diffusion(recipe, arranged, opener)
        _match(arranged, opener)
    return arranged


def _fit_diffusion(recipe: Recipe, arranged: Arranged, opener: Opener) -> None:
    """Put diffusion models under the names of the first, whatever layouts they are saved in."""
    from ..diffusion.arranging import prepare

    prepared = prepare(recipe, arranged.bound, opener)
    arranged.bound = with_positions(arranged.bound, prepared.replaced)
    arranged.kept = prepared.kept
    arranged.skips = [*arranged.skips, *prepared.skips]
    arranged.notes += prepared.notes


def _align_vocabularies(recipe: Recipe, arranged: Arranged, opener: Opener) -> None:
    from ..vocabulary import prepare

    prepared = prepare(recipe, arranged.bound, opener)
    if prepared is not None:
        arranged.bound = with_positions(arranged.bound, prepared.replaced)
        arranged.beside = prepared.beside
        arranged.notes += prepared.notes


def _part(source: Any) -> Matched:
    return Matched(source.tensors, {}, [], []) if isinstance(source, PartSource) else NOTHING_MATCHED


def _match(arranged: Arranged, opener: Opener) -> None:
    merged, opened = list(leaves(arranged.bound)), opener.sources
    pattern, used = opened[merged[0]], set(merged)
    arranged.matched = [
        match_names(pattern, source) if number in used else NOTHING_MATCHED for number, source in enumerate(opened)
    ]
    arranged.notes += [
        f"{source.location} {note}"
        for source, match in zip(opened, arranged.matched, strict=True)
        for note in match.notes
    ]
