"""Models of different vocabularies, found out before their embeddings would be mixed row by row."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import MergeError, UsageError
from ..recipe import Merge, Model, Recipe
from ..vocabulary.tensors import token_rows
from .opening import Opener

_HINT = "name the tokenizer of the output: union, base or one of the models; or say by --mismatch what becomes of them"


class Rows(NamedTuple):
    """How many tokens the embeddings of an outcome have, and a model from which that is known."""

    tokens: int
    model: Model


def check_vocabularies(recipe: Recipe, opener: Opener) -> None:
    """Refuse to mix vocabularies where the recipe does not say how they are matched.

    Raises:
        UsageError: At the model whose embeddings have more or fewer rows than those of the model before it.
    """
    if recipe.output.tokenizer is None and recipe.mismatch == "error":
        _rows_of(Model(recipe.merge), opener)


def _rows_of(model: Model, opener: Opener) -> Rows | None:
    if isinstance(model.model, Merge):
        return _rows_of_merge(model.model, opener)
    position = opener.positions.get(id(model))
    if position is None or model.where is None:  # given on the command line, where a mismatch names the tensors
        return None
    try:
        return Rows(token_rows(opener.sources[position]), model)
    except MergeError:  # it has no embedding of tokens, or none that is known
        return None


def _rows_of_merge(merge: Merge, opener: Opener) -> Rows | None:
    parts = [_rows_of(model, opener) for model in merge.models]
    if merge.method == "join":  # whose parts are different modules
        return next(filter(None, parts), None)
    if merge.method == "stack":  # tokens come into the first part and leave from the last
        parts = [parts[0], parts[-1]]
    elif merge.base is not None:
        parts.append(_rows_of(merge.base, opener))
    known = [rows for rows in parts if rows is not None]
    for rows in known[1:]:
        if rows.tokens != known[0].tokens:
            first, other = known[0], rows
            what = f"{other.model.model} has embeddings of {other.tokens} tokens, {first.model.model} of {first.tokens}"
            raise UsageError(what, where=other.model.where, hint=_HINT)
    return known[0] if known else None
