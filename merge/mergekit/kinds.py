"""Which kinds of tensors a recipe tells apart, found in the names of the model that decides them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..planning.depth import block_of
from .request import Request, Tensor
from .values import Resolved, Seen, resolve


class Kind(NamedTuple):
    """Tensors for which the same values count.

    Attributes:
        texts: Those filters of the recipe that their names hold.
        in_stack: Whether they belong to a layer.
        names: Their names, where nothing else tells them from others.
    """

    texts: frozenset[str]
    in_stack: bool
    names: tuple[str, ...] = ()


Found = list[tuple[Kind, Resolved]]


def find_kinds(request: Request) -> Found:
    """Return the kinds with the options that count for each, those with fewer filters first.

    Raises:
        UsageError: A parameter without a default has no value for some tensor.
        MergeError: The model whose names are needed cannot be opened.
    """
    filters = {choice.filter for choice in request.choices() if choice.filter is not None}
    if not filters and not any(isinstance(choice.value, list) for choice in request.choices()):
        nothing: frozenset[str] = frozenset()
        seen = Seen(nothing, (nothing,) * len(request.members), None, "")
        return [(Kind(nothing, False), resolve(request, seen))]
    pairs = [(tensor, _seen(tensor, filters)) for tensor in request.tensors]
    if _told_by_texts(request, pairs, filters):
        return _by_texts(request, [seen for _, seen in pairs])
    return _by_names(request, pairs)


def _seen(tensor: Tensor, filters: Iterable[str]) -> Seen:
    def held(name: str) -> frozenset[str]:
        return frozenset(text for text in filters if text in name)

    return Seen(held(tensor.output), tuple(map(held, tensor.inputs)), tensor.depth, tensor.name)


def _told_by_texts(request: Request, pairs: Sequence[tuple[Tensor, Seen]], filters: set[str]) -> bool:
    """Tell whether the texts in a name, and whether it has a layer's number, are all that decides.

    They are not where layers have other numbers in the models, or in the output, than within the merge and a filter
    holds such a number; nor where a value changes from layer to layer and is no number that can be interpolated.
    """
    kinds = {parameter.name: parameter.kind for parameter in request.known.parameters}
    for settings in request.settings():
        for name, setting in settings.items():
            if kinds[name] != "number" and any(isinstance(choice.value, list) for choice in setting):
                return False
    gradients = any(isinstance(choice.value, list) for choice in request.choices())
    if gradients and any((tensor.depth is None) is not (block_of(tensor.name) is None) for tensor, _ in pairs):
        return False
    return all(seen == _seen(_unmoved(tensor), filters) for tensor, seen in pairs if tensor != _unmoved(tensor))


def _unmoved(tensor: Tensor) -> Tensor:
    """Return a tensor as if it had the same name everywhere."""
    return tensor._replace(output=tensor.name, inputs=(tensor.name,) * len(tensor.inputs))


def _by_texts(request: Request, pairs: Sequence[Seen]) -> Found:
    gradients = any(isinstance(choice.value, list) for choice in request.choices())
    found: dict[tuple[frozenset[str], bool], Seen] = {}
    for seen in pairs:
        found.setdefault((seen.shared, gradients and seen.depth is not None), seen)
    kinds = sorted(found, key=lambda kind: (len(kind[0]) + kind[1], sorted(kind[0])))
    return [(Kind(*kind), resolve(request, found[kind])) for kind in kinds]


def _by_names(request: Request, pairs: Sequence[tuple[Tensor, Seen]]) -> Found:
    """Return the kinds by the names of all their tensors, the one with most tensors first."""
    known: dict[Seen, Resolved] = {}
    groups: dict[str, tuple[Resolved, list[Tensor]]] = {}
    for tensor, seen in pairs:
        key = seen._replace(example="")
        if key not in known:
            known[key] = resolve(request, seen)
        values = known[key]
        plain = repr([{name: value.value for name, value in own.items()} for own in (values.shared, *values.models)])
        groups.setdefault(plain, (values, []))[1].append(tensor)
    ordered = sorted(groups.values(), key=lambda group: -len(group[1]))
    nothing: frozenset[str] = frozenset()
    return [(Kind(nothing, False, tuple(one.name for one in tensors)), values) for values, tensors in ordered]
