"""What one image is corrupted with: constants for its size, and random numbers of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray

from .constants import CONSTANTS, SIDES, Row

Image = NDArray[np.float64]  # [height, width, channels], in [0, 1]


@dataclass(frozen=True)
class Setting:
    """The constants of one severity and how to carry them over to another size.

    The constants come from the table whose side is nearest to the shorter side of the image, by ratio: 32 up to 45
    pixels, 64 up to 119, 224 from 120 on. Lengths in pixels are multiplied by the shorter side over the table's side;
    ratios, rates and qualities stay. Below 32 pixels lengths stay those for 32, since a blur that is narrower than a
    pixel would change nothing. At 32, 64 and 224 pixels everything is as published.

    Attributes:
        constants: As published for ``table_side``; their meaning is in ``constants.CONSTANTS``.
        side: The shorter side of the image, in pixels.
        table_side: Which of the published tables, by its side in pixels.
        generator: The random numbers of one image.
    """

    constants: Row
    side: int
    table_side: int
    generator: np.random.Generator

    def pixels(self, length: float) -> float:
        """Return a length that was published in pixels, for this side."""
        return length * max(self.side, SIDES[0]) / self.table_side


def setting(name: str, severity: int, side: int, *, seed: int, index: int) -> Setting:
    """Return the setting of one corruption for one image.

    Args:
        name: Corruption.
        severity: 1 to 5.
        side: The shorter side of the image, in pixels.
        seed: Of the run.
        index: Number of the image within its data set.
    """
    table_side = min(SIDES, key=lambda known: abs(math.log(side / known)))
    constants = CONSTANTS[name][table_side][severity - 1]
    return Setting(constants, side, table_side, _generator(seed, name, severity, index))


def _generator(seed: int, name: str, severity: int, index: int) -> np.random.Generator:
    """Return random numbers that depend on nothing else, so that no image depends on those beside it."""
    text = "\0".join((str(seed), name, str(severity), str(index)))
    return np.random.Generator(np.random.Philox(key=xxhash.xxh3_128_intdigest(text.encode())))
