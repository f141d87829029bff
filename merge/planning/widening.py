"""Two models and what is known of both ▸ the one wider network that a merge reads in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..checkpoints.checkpoint import Source
from ..errors import MergeError, UsageError
from ..recipe import Recipe
from .bound import BoundCall
from .opening import Opener
from .tensor_rules import is_buffer
from .wide_source import Pair, Shapes, wide_source

ALIKE = "models of different widths or depths cannot be aligned: only the number of outputs may differ"


def widen(recipe: Recipe, bound: BoundCall, opener: Opener) -> BoundCall:
    """Return a call over the wide network, which is appended to the sources; over the first model until all is known.

    Raises:
        UsageError: A request that widening does not go with.
        MergeError: The models do not fit together, or not what is known of them.
    """
    refuse_policies(recipe)
    first, second = (opener.sources[position] for position in _members(bound))
    pair = Pair(first, second, (_computed(first), _computed(second)))
    _check_alike(pair)
    if not bound.statistics:
        _check_heads(pair, bound)
        return replace(bound, inputs=bound.inputs[:1])
    number = bound.statistics[0]
    wide = wide_source(recipe, bound, opener.sources[number], pair, _members(bound))
    opener.roles |= {position: f"model {place}" for place, position in enumerate(_members(bound), start=1)}
    opener.roles |= {number: "what is known of both models", len(opener.sources): "the wide network"}
    opener.sources.append(wide)
    return replace(bound, inputs=(len(opener.sources) - 1,), statistics=())


def refuse_policies(recipe: Recipe) -> None:
    """Refuse what would take tensors from one of the models, whose shapes are others. Raises UsageError."""
    given = {"keep": recipe.keep, "missing": recipe.missing != "error", "mismatch": recipe.mismatch != "error"}
    for name, value in given.items():
        if value:
            what = f"{recipe.merge.method} takes no {name}: no tensor of a model fits into a wider network"
            raise UsageError(what, where=recipe.merge.where, hint="leave it out")


def _members(bound: BoundCall) -> tuple[int, int]:
    first, second = bound.inputs
    assert isinstance(first, int)  # noqa: S101 - binding refuses merges and alignments here
    assert isinstance(second, int)  # noqa: S101
    return first, second


def _computed(source: Source) -> Shapes:
    """Return the shapes of the tensors that are computed: floating ones, without constants of the architecture."""
    return {name: tensor.shape for name, tensor in source.tensors.items() if not is_buffer(tensor)}


def _check_alike(pair: Pair) -> None:
    """Refuse models of other tensors, widths or depths, as far as headers can tell; outputs may differ in number."""
    first, second = pair.shapes
    for name in (*first, *second):
        if name not in first or name not in second:
            lacking, other = (pair.first, pair.second) if name not in first else (pair.second, pair.first)
            what = f"'{name}' of {other.location} is missing here"
            raise MergeError(what, where=lacking.location, hint=ALIKE)
        differing = sum(one != other for one, other in zip(first[name], second[name], strict=False))
        if len(first[name]) != len(second[name]) or differing > 1:
            what = f"'{name}' is {list(second[name])}, and {list(first[name])} in {pair.first.location}"
            raise MergeError(what, where=pair.second.location, hint=ALIKE)


def _check_heads(pair: Pair, bound: BoundCall) -> None:
    """Refuse to average outputs that differ in number, before any model runs."""
    first, second = pair.shapes
    misfit = next((name for name in first if first[name] != second[name]), None)
    if misfit is not None and bound.options.get("heads") == "merged":
        counts = next(both for both in zip(second[misfit], first[misfit], strict=True) if both[0] != both[1])
        what = f"'{misfit}' has {counts[0]} outputs, and {counts[1]} in the first model"
        hint = "other label spaces cannot be averaged: leave the heads apart"
        raise UsageError(what, where=pair.second.location, hint=hint)


def check_members(sources: Sequence[Source], identities: Mapping[int, str]) -> None:
    """Refuse what is known of other models than those that are merged, as far as their content ids are known.

    Raises:
        MergeError: Naming file and model.
    """
    for source in sources:
        members: Mapping[int, str] = getattr(source, "members", {})
        for position, wanted in members.items():
            if wanted and identities.get(position, wanted) != wanted:
                what = f"these statistics were computed from another model than {sources[position].location}"
                hint = "give the two models in their order, or compute the file again from data"
                raise MergeError(what, where=getattr(source, "file", ""), hint=hint)
