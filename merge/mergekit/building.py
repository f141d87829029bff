"""From what a recipe of mergekit asks for to merges of ours: of whole models, and slice upon slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..recipe import Merge, Model, Placed
from .request import Member, Request, cut_model
from .rules import Rules, make_rules
from .slices import Layered


def built(request: Request) -> Merge:
    """Return one merge, of whole models or of the layers of a slice.

    Raises:
        UsageError: A parameter without a default has no value for some tensor.
        MergeError: The model whose tensor names are needed cannot be opened.
    """
    return _merge(request, make_rules(request))


def built_layers(layered: Layered, donor: Member | None, where: str) -> Merge:
    """Return the merges of all slices on top of each other; a single one of whole models as it is.

    Args:
        layered: The slices.
        donor: The model whose config and tokenizer the output gets; None for that of the first slice.
        where: Where the slices stand.

    Raises:
        UsageError: A parameter without a default has no value for some tensor.
        MergeError: The model whose tensor names are needed cannot be opened.
    """
    requests = layered.requests
    if len(requests) == 1 and all(member.cut and member.cut.whole for member in _members(requests[0])):
        merge = built(requests[0])
        gives = donor and requests[0].known.base == "one more" and not _is(donor, requests[0].first)
        return replace(merge, base=donor.whole) if donor and gives else merge
    parts = tuple(map(_part, requests))
    option = layered.stack.option
    base = donor.whole if donor and not _is(donor, requests[0].first) else None
    return Merge("stack", parts, base, {"stack": option} if option else {}, where=where)


def _members(request: Request) -> Sequence[Member]:
    return (*request.members, *([request.base] if request.base else []))


def _part(request: Request) -> Model:
    """Return one slice: layers of one model as they are, or a merge of such layers."""
    rules = make_rules(request)
    (first, *others) = request.members
    if rules.method == "passthrough" and not others and not (rules.shared or any(rules.models) or rules.layers):
        cut = first.cut
        options = {} if cut is None or cut.whole else Placed({"layer_range": cut.text}, {"layer_range": cut.where})
        return Model(first.whole.model, options, first.where)
    return Model(_merge(request, rules), {}, request.where)


def _merge(request: Request, rules: Rules) -> Merge:
    models = tuple(
        replace(cut_model(member, request.stack), options=options)
        for member, options in zip(request.members, rules.models, strict=True)
    )
    base = cut_model(request.base, request.stack) if request.base and _names_base(request) else None
    return Merge(rules.method, models, base, rules.shared, rules.layers, where=request.where)


def _names_base(request: Request) -> bool:
    """Whether our merge has a base: not where it is the first model, which decides the same things anyway."""
    first = request.members[0]
    return request.base is not None and (request.base.location, request.base.cut) != (first.location, first.cut)


def _is(one: Member, other: Member) -> bool:
    return one.location == other.location
