"""Which data a model's weights, or an outcome, were found with, if any.

``none``, ``unlabeled``, ``labels``, ``held-out``, or several.
"""

from __future__ import annotations

from collections.abc import Iterable

NO_DATA = "none"
UNLABELED = "unlabeled"
LABELS = "labels"


def joined_use(uses: Iterable[str]) -> str:
    """Return what several uses are together, in order of their names; each may name several, with commas between."""
    return ", ".join(sorted({use for text in uses for use in text.split(", ")} - {NO_DATA})) or NO_DATA
