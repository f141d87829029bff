"""Images in files or table cells, decoded when they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ...errors import MergeError, UsageError, some_of
from ..resizing import Resizing
from .decoding import COLOUR, MODES, BrokenImage, check, decode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..image_format import ImageFormat
    from .image_set import Items

MOST_THREADS = 8  # Pillow decodes outside Python's lock, but reading and copying are not


class Storage(Protocol):
    """Where encoded images lie."""

    def name(self, item: int) -> str:
        """Return what an image is called in messages."""

    def read(self, item: int) -> bytes:
        """Return the bytes of an image's file. Raises BrokenImage or OSError when there are none."""


@dataclass(frozen=True)
class EncodedImages:
    """Encoded images and their labels.

    Attributes:
        storage: Where they lie.
        items: Their numbers in the storage [n].
        labels: Class numbers [n].
        classes: Names of the classes, or None.
        resizing: How an image is brought to a model's size.
        where: Place in the benchmark file, for messages.
        notes: Notes on the data.
    """

    storage: Storage
    items: NDArray[np.int64]
    labels: NDArray[np.int64]
    classes: tuple[str, ...] | None
    resizing: Resizing
    where: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def shape(self, expected: ImageFormat) -> tuple[int, int, int]:
        """Return channels, height and width that a model takes; colour where it states no channels.

        Raises:
            UsageError: It states no size, and the benchmark gives none; or it takes neither colour nor grey.
        """
        given = (self.resizing.size, self.resizing.size) if self.resizing.size else None
        size = expected.size or given
        if size is None:
            hint = "give 'size', in pixels, beside 'path'"
            raise UsageError("the model states no size for its images", where=self.where, hint=hint)
        channels = COLOUR if expected.channels is None else expected.channels
        if channels not in MODES:
            what = f"the model takes {channels} channels; encoded images are read as colour or grey"
            raise UsageError(what, where=self.where)
        return channels, *size

    def pixels(self, items: Items, expected: ImageFormat) -> NDArray[np.uint8]:
        """Return decoded, resized and cropped images [items, channels, height, width]."""
        import numpy as np

        channels, *size = self.shape(expected)
        result = np.empty((len(items), channels, *size), np.uint8)

        def fill(place: int) -> None:
            number = int(items[place])
            try:
                result[place] = decode(self.file(number), channels, (size[0], size[1]), self.resizing)
            except BrokenImage as error:
                hint = "--skip-broken leaves such images out, and counts them"
                raise MergeError(f"the image cannot be read: {error}", where=self.name(number), hint=hint) from None

        in_threads(fill, len(items))
        return result

    def name(self, number: int) -> str:
        """Return what an image is called in messages."""
        return self.storage.name(int(self.items[number]))

    def is_broken(self, number: int) -> bool:
        """Tell whether an image cannot be decoded."""
        try:
            check(self.file(number))
        except BrokenImage:
            return True
        return False

    def file(self, number: int) -> bytes:
        """Return the bytes of an image's file. Raises BrokenImage when they cannot be read."""
        try:
            return self.storage.read(int(self.items[number]))
        except OSError as error:
            raise BrokenImage(error.strerror or str(error)) from None


def without_broken(images: EncodedImages) -> EncodedImages:
    """Leave out the images that cannot be decoded, for which all of them are decoded once, and note how many.

    Raises:
        UsageError: None can be read.
    """
    import numpy as np

    broken = np.zeros(len(images), bool)

    def look(number: int) -> None:
        broken[number] = images.is_broken(number)

    in_threads(look, len(images))
    if not broken.any():
        return images
    if broken.all():
        raise UsageError(f"none of the {len(images):,} images can be read", where=images.where)
    names = [images.name(int(number)) for number in np.flatnonzero(broken)]
    note = f"{len(names):,} of {len(images):,} images could not be read and are left out: {some_of(names)}"
    kept = ~broken
    return replace(images, items=images.items[kept], labels=images.labels[kept], notes=(*images.notes, note))


def in_threads(work: Callable[[int], None], n: int) -> None:
    """Call ``work`` with every number below ``n``, in a few threads; raises what it raises."""
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, range(n)):
            pass
