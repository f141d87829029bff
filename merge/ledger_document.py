"""The shape of the ledger of a merge that learned from data."""

from __future__ import annotations

from typing import Any

from typing_extensions import NotRequired, TypedDict  # noqa: UP035 -- pydantic reads these on every Python


class LedgerRow(TypedDict):
    """What became of a tensor; condition, ridge and off-diagonal factor only where a matrix was regressed."""

    tensor: str
    treatment: str  # regressed | weighted by Fisher information | scaled by learned coefficients | averaged | copied …
    why: str
    rows: NotRequired[int | None]  # of data, those of all models together
    condition: NotRequired[float]
    ridge: NotRequired[float]
    off_diagonal: NotRequired[float]


class LedgerFile(TypedDict):
    """A statistics file and how it was computed."""

    role: str
    file: str
    about: dict[str, Any]  # data, samples, seed, options


class LedgerDocument(TypedDict):
    """Statistics files, and what was done with them tensor by tensor."""

    files: list[LedgerFile]
    counts: dict[str, int]
    tensors: list[LedgerRow]
