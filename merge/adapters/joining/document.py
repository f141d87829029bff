"""The shape of what `merge adapters --json` prints."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class JoinedAdapter(TypedDict):
    """One of the adapters."""

    model: str
    modules: int
    content_id: str | None  # of its tensors and scales; None with ``--dry-run``


class JoinedModule(TypedDict):
    """One module of the outcome; with ``--dry-run`` the numbers are None and the rank is the highest possible."""

    module: str
    kind: str
    shape: list[int]  # of the weight
    ranks: list[int]  # of every adapter's factors, 0 where it adapts nothing
    rank: int
    energy: float | None  # share of the sum of squares that the factors keep
    norm: float | None  # of what was to be made; None where nothing was cut
    relative_error: float | None  # norm of what the factors lack, over that
    bytes: int


class JoinDocument(TypedDict):
    """What is made of several adapters."""

    out: str | None
    method: str
    options: dict[str, Any]
    adapters: list[JoinedAdapter]
    output_id: str | None
    modules: list[JoinedModule]
    whole: list[str]
    energy: float | None  # of all modules together
    copied_files: list[str]
    notes: list[str]
