"""The shape of what `merge extract-lora --json` prints."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class ExtractedModule(TypedDict):
    """One layer that got factors; with ``--dry-run`` the numbers are None and the rank is the highest possible."""

    module: str
    tensor: str
    kind: str
    shape: list[int]
    rank: int
    energy: float | None  # share of the difference's sum of squares that the factors keep
    norm: float | None  # of the difference
    relative_error: float | None  # norm of what the factors lack, over that of the difference


class WholeTensor(TypedDict):
    """One tensor that is saved as the tuned model has it."""

    tensor: str
    dtype: str
    shape: list[int]


class LeftTensor(TypedDict):
    """One tensor that differs, or may differ with ``--dry-run``, and is not in the adapter."""

    tensor: str
    reason: str
    norm: float | None  # of the difference; None where there is none to speak of


class ExtractDocument(TypedDict):
    """What an extraction found and wrote."""

    out: str | None
    tuned: str
    base: str
    output_id: str | None
    input_ids: list[str]
    options: dict[str, Any]
    device: str | None
    modules: list[ExtractedModule]
    whole: list[WholeTensor]
    left: list[LeftTensor]
    energy: float | None  # of all modules together
    bytes: int
    notes: list[str]
    warnings: list[str]
    seconds: float
