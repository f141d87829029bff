"""One tensor of the wide network from the members' tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import MergeError
from .combining import combine
from .least_squares import Problem, solve_rows
from .splits import NONE, Entries

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from .joint_file import Joint
    from .widths import Layout

    Numbers = NDArray[np.floating[Any]]

RIDGE = 1e-2


@dataclass(frozen=True)
class Widening:
    """Makes the tensors of a wide network.

    Attributes:
        joint: What is known of the two models.
        layout: Where their units come to lie.
        ridge: As a share of the mean diagonal; infinite: no least squares, so that merged units are plain averages.
    """

    joint: Joint
    layout: Layout
    ridge: float = RIDGE

    def is_solved(self, name: str, first: tuple[int, ...], second: tuple[int, ...]) -> bool:
        """Tell whether a tensor is found by least squares: a matrix that reads merged units of which data is known.

        Args:
            name: The tensor.
            first: Its shape in the first model.
            second: In the second.
        """
        if math.isinf(self.ridge) or name not in self.joint.reads or not self.joint.has_gram(name):
            return False
        return bool(self.layout.axes(name, first, second)[self.joint.reads[name]].merged.any())

    def is_averaged(self, name: str, first: tuple[int, ...], second: tuple[int, ...]) -> bool:
        """Tell whether both models write some number of a tensor together; else each number is one model's own.

        Args:
            name: The tensor.
            first: Its shape in the first model.
            second: In the second.
        """
        axes, reads = self.layout.axes(name, first, second), self.joint.reads.get(name)
        return all(entries.merged.any() for axis, entries in enumerate(axes) if axis != reads)

    def tensor(self, name: str, first: Numbers, second: Numbers) -> Numbers:
        """Return a tensor of the wide network.

        Args:
            name: The tensor.
            first: The first model's, of float32 or float64, all finite.
            second: The second's.

        Returns:
            In float64 where least squares have found it, else in the members' type.

        Raises:
            MergeError: The joint statistics are not theirs.
        """
        axes = self.layout.axes(name, first.shape, second.shape)
        plain = combine(axes, self.joint.reads.get(name), first, second)
        if not self.is_solved(name, first.shape, second.shape):
            return plain
        return self._solved(name, axes, plain, first, second)

    def _solved(self, name: str, axes: Sequence[Entries], plain: Numbers, first: Numbers, second: Numbers) -> Numbers:
        """Solve for a matrix, or for filters as the matrix that is multiplied by patches."""
        import numpy as np

        reads = self.joint.reads[name]
        kernel = math.prod(plain.shape[2:])
        one, other, start = (
            np.moveaxis(array, reads, 1).reshape(array.shape[1 - reads], -1) for array in (first, second, plain)
        )
        gram = self.joint.gram(name)
        if gram is None or len(gram) != one.shape[1] + other.shape[1]:
            what = f"the joint statistics of '{name}' are for {0 if gram is None else len(gram)} inputs"
            raise MergeError(what, hint="they belong to other models")
        problem = Problem(one, other, axes[1 - reads], _patches(axes[reads], kernel), gram, self.ridge)
        try:
            solved = solve_rows(problem, start)
        except ValueError as error:
            raise MergeError(f"'{name}' cannot be solved: {error}") from None
        return np.moveaxis(solved.reshape(np.moveaxis(plain, reads, 1).shape), 1, reads)


def _patches(entries: Entries, kernel: int) -> Entries:
    """Return what the entries of patches stand for, each channel being so many places."""
    import numpy as np

    places = np.arange(kernel)
    first, second = (np.where(one[:, None] < 0, NONE, one[:, None] * kernel + places).reshape(-1) for one in entries)
    return Entries(first, second)
