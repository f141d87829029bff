"""What ``merge bn-reset`` and ``merge repair`` add to the JSON of a merge, and to its report."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class MeasuredDocument(TypedDict):
    """The file of statistics by which a model was adjusted."""

    kind: str  # batch-norm | repair
    file: str
    layers: dict[str, int]  # how many were reset, and corrected
    about: dict[str, Any]  # data, options, batches, what was left out and why; of repair, toward which models
