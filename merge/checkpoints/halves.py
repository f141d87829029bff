"""The parts of `BASE+ADAPTER=0.8`, told from names with a plus or an equals sign in them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from .local_path import local_path
from .remote.reference import is_marked, is_remote, is_url
from .strength import without_strength


class Halves(NamedTuple):
    """The parts of ``BASE+ADAPTER=0.8``.

    Attributes:
        base: What the adapter is baked into.
        adapter: Where the adapter is.
        strength: How much of it, as it is written, with ``=`` in front; empty where it is not given.
    """

    base: str
    adapter: str
    strength: str


def with_adapter(location: str, relative_to: Path | None = None) -> Halves | None:
    """Return the parts of ``BASE+ADAPTER=0.8``, or None where a location names one thing alone, or nothing."""
    if "+" not in location or local_path(location, relative_to).exists():
        return None
    for base, written in reversed(splits(location)):
        adapter, strength = (written, "") if local_path(written, relative_to).exists() else without_strength(written)
        if local_path(adapter, relative_to).exists() or _is_adapter_elsewhere(base, adapter, relative_to):
            return Halves(base, adapter, strength)
    return None


def _is_adapter_elsewhere(base: str, adapter: str, relative_to: Path | None) -> bool:
    """Tell whether a half is an adapter elsewhere, and not the rest of an address with a plus in it."""
    if not is_remote(adapter) or (is_url(base) and not is_marked(adapter)):
        return False
    return local_path(base, relative_to).exists() or is_remote(base) or with_adapter(base, relative_to) is not None


def splits(location: str) -> list[tuple[str, str]]:
    """Return what stands before and after every plus with something on both sides."""
    places = [number for number, character in enumerate(location) if character == "+"]
    return [(location[:place], location[place + 1 :]) for place in places if 0 < place < len(location) - 1]
