"""What putting an output in its place elsewhere needs of that place."""

from __future__ import annotations

from typing import Any, Protocol


class Objects(Protocol):
    """Files elsewhere by their keys. Whatever fails for good raises MergeError."""

    def address(self, key: str) -> str:
        """Return what stands for a file in messages."""

    def put(self, key: str, data: bytes, **conditions: str) -> None:
        """Write a small file; with ``IfNoneMatch="*"`` or ``IfMatch`` raise ConditionError where that does not hold."""

    def get(self, key: str) -> bytes | None:
        """Return a small file's bytes, or None where there is none."""

    def head(self, key: str) -> dict[str, Any] | None:
        """Return what is known of a file, ``ETag`` at least, or None where there is none."""

    def delete(self, key: str) -> None:
        """Remove a file."""

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin so."""
