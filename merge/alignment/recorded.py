"""The orders of units that went into a merge, and how they were found, as JSON output and reports have them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .document import AlignmentRow
from .permutations_file import KIND

if TYPE_CHECKING:
    from ..checkpoints.checkpoint import Source


_ROLE = "permutations of "  # how the planner begins the role of such a file


def alignments(sources: Sequence[Source], roles: Sequence[str]) -> list[AlignmentRow]:
    """Return what the files of permutations among the sources of a merge say of themselves."""
    return [
        {"model": role.removeprefix(_ROLE), "file": source.location, "about": _about(source)}
        for source, role in zip(sources, roles, strict=True)
        if source.metadata.get("kind") == KIND
    ]


def _about(source: Source) -> dict[str, Any]:
    found = json.loads(source.metadata.get("about") or "{}")
    return found if isinstance(found, dict) else {}
