"""Images that several benchmarks have in common, decoded once for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .image_set import ImageSet


class Shared:
    """Holds what was loaded until the last of its users has it; later users load anew.

    Args:
        users: How many benchmarks will ask.
    """

    def __init__(self, users: int) -> None:
        self._left = users
        self._images: ImageSet | None = None

    def __repr__(self) -> str:
        return "Shared()"  # without an address: what is keyed by a benchmark's content must not change between runs

    def get(self, load: Callable[[], ImageSet]) -> ImageSet:
        """Return the images, loading them for the first user."""
        images = load() if self._images is None else self._images
        self._left -= 1
        self._images = images if self._left > 0 else None
        return images
