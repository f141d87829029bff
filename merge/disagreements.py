"""Where models disagree although the merge takes them to be the same; known when all of them have been read."""

from __future__ import annotations

from collections.abc import Iterator

from .checkpoints.derived import whole
from .errors import some_of
from .plan import Plan
from .planning.rows import Row
from .streaming.digests import Digests


def disagreements(plan: Plan, digests: Digests) -> Iterator[str]:
    """Yield where models disagree in tensors that are copied from one of them, or tied."""
    differing = [row.name for row in plan.rows if _may_differ(row.reason, row.action) and _differs(row, digests)]
    if differing:
        shown = some_of((f"'{name}'" for name in differing), 1)
        yield f"copied tensors differ between the models: {shown}; taken from {_origin(plan)}"
    for skip in plan.skips:
        if skip.twin and digests.of(skip.source, skip.name) != digests.of(skip.source, skip.twin):
            location = plan.sources[skip.source].location
            yield f"{location}: '{skip.name}' was left out as tied, but differs from '{skip.twin}'"


def _may_differ(reason: str, action: str) -> bool:
    """Tell whether a copied tensor was expected to be the same in all models."""
    return action == "copy" and reason != "kept" and not reason.startswith("from the base")


def _differs(row: Row, digests: Digests) -> bool:
    return len({digests.of(source, tensor.name) for source, tensor in enumerate(row.tensors) if tensor}) > 1


def _origin(plan: Plan) -> str:
    return whole(plan.sources[plan.reference]).location
