"""Samples of several sets of data, one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import xxhash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..subject import Batch, Sample


class Mixture:
    """The samples of all parts, in their order.

    Labels are kept if all parts have them.

    Args:
        parts: Samples prepared for the same network.
    """

    def __init__(self, parts: Sequence[Sample]) -> None:
        self.parts = parts
        abouts = [dict(part.about) for part in parts]
        self.about: Mapping[str, Any] = {
            "name": ",".join(str(about["name"]) for about in abouts),
            "digest": xxhash.xxh3_128_hexdigest("".join(str(about["digest"]) for about in abouts).encode()),
            "number": len(self),
            "total": sum(about["total"] for about in abouts),
            **{key: abouts[0][key] for key in ("draw", "seed")},
            "notes": [f"{about['name']}: {note}" for about in abouts for note in about["notes"]],
            "parts": abouts,
        }

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def batches(self, size: int, first: int = 0) -> Iterator[Batch]:
        """Yield the items in order, from the item ``first`` on; no batch has items of two parts."""
        for part in self.parts:
            if first < len(part):
                for batch in part.batches(size, max(first, 0)):
                    yield batch if self._labelled else replace(batch, labels=None)
            first -= len(part)

    @cached_property
    def _labelled(self) -> bool:
        return all(next(part.batches(1)).labels is not None for part in self.parts)
