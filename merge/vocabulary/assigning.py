"""Which of a model's tensors get other rows, and from where; what cannot be gathered is refused."""

from __future__ import annotations

from collections.abc import Sequence

from ..checkpoints.checkpoint import Source
from ..dtypes import DTYPES
from ..errors import MergeError
from .members import Member, untied
from .rows import Layout, plan_rows
from .source import Rows
from .taking import Origin


def assign_rows(members: Sequence[Member], number: int, layout: Layout) -> dict[str, Rows]:
    """Return the rows of a model's tensors by token that are not its own as they are.

    Raises:
        MergeError: A row comes from a tensor that has none like it.
    """
    base, member = members[0], members[number]
    own = {name: member.source.tensors[name] for name in member.tensors}
    found = {}
    for pattern, wanted in ((member, own), (base, untied(base, member))):
        twins = [pattern.twin_in(other) for other in members]
        for name, tensor in wanted.items():
            origins = tuple(
                Origin(other.source, twin[name]) if name in twin else None
                for other, twin in zip(members, twins, strict=True)
            )
            plan = plan_rows(layout, number, [origin is not None for origin in origins])
            if not plan.is_identity(number, member.rows):
                found[name] = Rows(tensor, member.tensors[tensor.name], plan, origins)
                _check(member.source, name, found[name], members)
    return found


def _check(source: Source, name: str, rows: Rows, members: Sequence[Member]) -> None:
    """Refuse rows that cannot be gathered."""
    own, where = rows.tensor, f"{source.location}: '{name}'"
    if DTYPES[own.dtype].bits % 8:
        what = f"has entries narrower than a byte ({own.dtype})"
        raise MergeError(what, where=where, hint="unpack the weights first")
    for member, origin, enters in zip(members, rows.origins, rows.plan.entering, strict=True):
        if not enters:
            continue
        if origin is None:
            what = f"a rule takes a row from {member.source.location}, which has no such tensor"
            raise MergeError(what, where=where)
        if origin.tensor.shape[rows.axis + 1 :] != own.shape[rows.axis + 1 :]:
            what = f"has rows of another size in {member.source.location}: {list(origin.tensor.shape)}"
            raise MergeError(f"{what}, here {list(own.shape)}", where=where)
        if (rows.plan.computes or origin.tensor.dtype != own.dtype) and not _both_float(origin.tensor.dtype, own.dtype):
            raise MergeError(f"means of rows need floating numbers, not {own.dtype}", where=where)


def _both_float(*dtypes: str) -> bool:
    return all(DTYPES[dtype].kind == "float" for dtype in dtypes)
