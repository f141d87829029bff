"""Which kinds of tensors a recipe tells apart, found in the names of the model that decides them."""

from __future__ import annotations

from collections.abc import Iterable

from ..planning.depth import block_of
from ..recipe import Model
from .request import Request
from .values import Kind


def find_kinds(request: Request) -> list[Kind]:
    """Return the kinds, those with fewer filters first; one where the recipe tells none apart.

    Raises:
        MergeError: The model whose names are needed cannot be opened.
    """
    filters = {choice.filter for choice in request.choices() if choice.filter is not None}
    gradients = any(isinstance(choice.value, list) for choice in request.choices())
    if not filters and not gradients:
        return [Kind(frozenset(), False, "")]
    found: dict[tuple[frozenset[str], bool], Kind] = {}
    for name in _names(request):
        texts = frozenset(text for text in filters if text in name)
        in_stack = gradients and block_of(name) is not None
        found.setdefault((texts, in_stack), Kind(texts, in_stack, name))
    return sorted(found.values(), key=lambda kind: (len(kind.texts) + kind.in_stack, sorted(kind.texts)))


def _names(request: Request) -> Iterable[str]:
    """Return the tensor names of the model that decides them; headers alone are read."""
    from ..planning.opening import Opener

    opener = Opener(None)
    try:
        return list(opener.sources[opener.open(Model(request.first.location, where=request.first.where))].tensors)
    finally:
        opener.close()
