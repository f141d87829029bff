"""What ``merge calibrate --json`` prints, typed so that its schema can be published."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class CalibrationDocument(TypedDict):
    """A file of statistics."""

    out: str
    kind: str  # fisher | gram
    model: str
    content_id: str  # of the model
    tensors: int
    aliases: dict[str, str]
    layout: dict[str, str]
    rows: dict[str, int]
    data_use: str
    about: dict[str, Any]
    notes: list[str]
    seconds: float
