"""Names for kinds of work, under which rates are kept and looked up."""

from __future__ import annotations

import math
from collections import Counter

from ..checkpoints.derived import stored_sizes
from ..plan import Plan
from ..program import calls

_SHARE = 0.1  # of a plan's bytes, from which on a type counts
_TO_SCALED = ", to 8 bits"  # and so does finding new ones
_SCALED = " (from 8 bits)"  # applying scales takes longer than adding up


def reading(link: str) -> str:
    """Return the kind of reading through a link."""
    return f"reading from {link}"


def reading_cached(link: str) -> str:
    """Return the kind of reading what the page cache of a disk holds."""
    return f"reading from {link} (in memory)"


def writing(link: str) -> str:
    """Return the kind of writing to a disk or elsewhere, until it is safe there."""
    return f"writing to {link}"


def computing(plan: Plan, device: str) -> str:
    """Return the kind of computing: by methods, device, and the types that matter."""
    written = [row for row in plan.rows if row.action != "check"]
    scaled = sum(math.prod(row.shape) for row in written if row.scales)
    again = _TO_SCALED if scaled > _SHARE * sum(math.prod(row.shape) for row in written) else ""
    return f"computing {work_of(plan)} on {device} in {'+'.join(types_of(plan))}{again}"


def work_of(plan: Plan) -> str:
    """Return the methods of a plan, the most deeply nested first; ``copy`` where nothing is computed."""
    distinct = {id(row.expression): row.expression for row in plan.rows if row.expression is not None}
    found = {call.path: call.method.name for expression in distinct.values() for call in calls(expression)}
    ordered = [found[path] for path in sorted(found, key=lambda path: (-path.count("."), path))]
    return "+".join(dict.fromkeys(ordered)) or "copy"


def types_of(plan: Plan) -> list[str]:
    """Return the types of the inputs that make up a tenth of the bytes or more, in order of their names."""
    sizes: Counter[str] = Counter()
    stored = [stored_sizes(source) for source in plan.sources]
    for row in plan.rows:
        for size, tensor in zip(stored, row.tensors, strict=True):
            if tensor is not None:
                sizes[tensor.dtype + (_SCALED if size(tensor) < tensor.nbytes else "")] += tensor.nbytes
    total = sum(sizes.values())
    return sorted(dtype for dtype, nbytes in sizes.items() if nbytes >= _SHARE * total)


def link_bytes(plan: Plan, links: list[str]) -> dict[str, int]:
    """Return the bytes that are read through every link once; those of tensors in memory are left out.

    Args:
        plan: The plan.
        links: That of every source.
    """
    found: Counter[str] = Counter()
    for number, (source, link) in enumerate(zip(plan.sources, links, strict=True)):
        size = stored_sizes(source)
        found[link] += sum(size(tensor) for row in plan.rows if (tensor := row.tensors[number]) is not None)
    for row in plan.rows:
        for number, tensor in row.asides:
            found[links[number]] += tensor.nbytes
    return {link: nbytes for link, nbytes in found.items() if link and nbytes}
