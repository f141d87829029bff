"""Which items of the data are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Drawing:
    """How items are chosen.

    Attributes:
        count: How many are wanted.
        draw: ``random`` or ``first``.
        seed: Of random draws.
    """

    count: int
    draw: str
    seed: int

    def items(self, total: int, name: str) -> NDArray[np.int64]:
        """Return the numbers of the items, in the order in which they are used; all of them where they are fewer.

        A random draw depends on seed, name and total alone; a smaller one is the beginning of a larger one.

        Args:
            total: How many items there are.
            name: Of the data.
        """
        import numpy as np

        if self.draw == "first":
            return np.arange(min(self.count, total), dtype=np.int64)
        key = xxhash.xxh3_64_intdigest(name.encode())
        generator = np.random.Generator(np.random.PCG64([self.seed, key]))
        return generator.permutation(total)[: self.count].astype(np.int64)

    def notes(self, total: int) -> list[str]:
        """Return what has to be said of a draw from so many items."""
        return [f"all {total} items were used: {self.count} were asked for"] if total < self.count else []

    def about(self, total: int) -> dict[str, object]:
        """Return what a statistics file records of the draw."""
        return {"number": min(self.count, total), "total": total, "draw": self.draw, "seed": self.seed}
