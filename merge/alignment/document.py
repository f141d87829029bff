"""What a merge of aligned models adds to its JSON, and to its report."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class AlignmentRow(TypedDict):
    """The permutations of one model."""

    model: str  # its role: model 2
    file: str
    about: dict[str, Any]  # matching, seeds, sweeps, distances, and by group: size, share of units in place, cosine
