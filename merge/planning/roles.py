"""What every source of a plan is there for, in words: ``base``, ``model 1`` and so on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..checkpoints.derived import whole
from ..recipe import Alignment, Merge
from .bound import Bound, BoundCall, leaves
from .opening import Opener


def roles_of(bound: Bound, merge: Merge, opener: Opener) -> list[str]:
    """Return the role of every source, in their order; empty for one that has none."""
    roles = _of_models(bound, len(opener.sources))
    for number in opener.statistics:
        roles[number] = _of_statistics(bound, number)
    for number, role in _of_alignments(merge, opener):
        roles[number] = roles[number] or role
    roles = [opener.roles.get(number, role) for number, role in enumerate(roles)]
    return _with_wholes(roles, opener)


def _with_wholes(roles: list[str], opener: Opener) -> list[str]:
    """Give the role of a part to the model that it is taken from, where that has none of its own."""
    positions = {id(source): number for number, source in enumerate(opener.sources)}
    found = list(roles)
    for number, source in enumerate(opener.sources):
        position = positions.get(id(whole(source)), number)
        if position != number and not roles[position] and roles[number]:
            found[position] = found[position] or roles[number]
            found[number] = f"of {roles[number]}"
    return found


def _of_models(bound: Bound, count: int) -> list[str]:
    roles = [""] * count
    base = bound.base if isinstance(bound, BoundCall) else None
    while isinstance(bound, BoundCall) and len(bound.inputs) == 1 and isinstance(bound.inputs[0], BoundCall):
        bound = bound.inputs[0]
    inputs: Sequence[Bound] = bound.inputs if isinstance(bound, BoundCall) else [bound]
    for number, child in enumerate(inputs, start=1):
        for leaf in leaves(child):
            roles[leaf] = roles[leaf] or f"model {number}"
    for leaf in leaves(base) if base is not None else ():
        roles[leaf] = "base"
    return roles


def _of_statistics(bound: Bound, number: int) -> str:
    if isinstance(bound, BoundCall) and number in bound.statistics:
        return f"{bound.method.statistics} of model {bound.statistics.index(number) + 1}"
    return "statistics"


def _of_alignments(merge: Merge, opener: Opener) -> Iterator[tuple[int, str]]:
    """Yield the role of everything that aligned models are made from."""
    for name, model in merge.parts.items():
        if isinstance(model.model, Merge):
            yield from _of_alignments(model.model, opener)
        elif isinstance(model.model, Alignment):
            alignment, role = model.model, "the base" if name == "base" else f"model {name}"
            yield opener.positions[id(alignment.model)], f"{role} before it is aligned"
            yield opener.positions[id(alignment.to)], f"what {role} is aligned to"
            if alignment.permutations:
                yield opener.positions[id(alignment.permutations)], f"permutations of {role}"
