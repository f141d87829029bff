"""Making up for what was left out of task vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..method import Context
    from ..reduction import Array

RESCALE = ("density", "l1", "none")


def magnitudes(arrays: Sequence[Array], context: Context) -> list[Array]:
    """Return the magnitudes of all entries."""
    return [context.xp.abs(array) for array in arrays]


def rescale(arrays: Sequence[Array], densities: Sequence[float], how: str, context: Context) -> None:
    """Multiply each task vector, in place, by what makes up for the entries that it lost.

    Args:
        arrays: The task vectors, with zeros in the place of what was left out.
        densities: The share of each that was kept; what was kept in full is left as it is.
        how: ``density``: by 1/density; ``l1``: so that the L1 norm of the tensor is what it was; ``none``.
        context: For ``l1``, with the L1 norms of all task vectors before, then of all after, under the name ``norms``.
    """
    for model, (array, density) in enumerate(zip(arrays, densities, strict=True)):
        if how == "density" and 0 < density < 1:
            array /= density
        elif how == "l1" and density < 1:
            norms = context.result("norms")
            before, after = norms[model], norms[len(arrays) + model]
            array *= before / after if after else 1.0
