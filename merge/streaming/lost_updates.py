"""Which updates of the base are lost to rounding: too small for the type's steps around the base's number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..checkpoints.files import Buffer
from ..dtypes import DTYPES, numpy_dtype
from ..errors import UsageError
from ..planning.rows import Row
from ..program import Call
from .pieces import BLOCK_ELEMENTS
from .rounding import rounded
from .tallies import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def has_updates(row: Row) -> bool:
    """Tell whether a row's outcome is the base and an update, in a type of at most 16 bits."""
    merged = row.action == "merge" and isinstance(row.expression, Call) and row.expression.base is not None
    return merged and row.scales is None and DTYPES[row.dtype].bits <= 16


def check_updates(rows: Sequence[Row]) -> None:
    """Refuse to count the updates that are lost where no tensor can lose any.

    Raises:
        UsageError: Saying why.
    """
    if not any(map(has_updates, rows)):
        what = "--count-lost-updates counts changes of a base that types of at most 16 bits lose, and there are none"
        raise UsageError(what, hint="give --base to a method that has one, or a --dtype of at most 16 bits")


def count_lost(outcome: NDArray[Any], base: NDArray[Any], stored: Buffer, dtype: str) -> Tally:
    """Return how much of the updates of a base is lost.

    Args:
        outcome: Float32 or float64 numbers before they were rounded.
        base: The base's numbers.
        stored: The rounded outcome.
        dtype: Its type.
    """
    import numpy as np

    found, values = Tally(), np.frombuffer(stored, numpy_dtype(dtype))
    for start in range(0, len(outcome), BLOCK_ELEMENTS):
        part = slice(start, start + BLOCK_ELEMENTS)
        found = found.joined(_count(outcome[part], base[part], values[part], dtype))
    return found


def _count(outcome: NDArray[Any], base: NDArray[Any], stored: NDArray[Any], dtype: str) -> Tally:
    import numpy as np

    with np.errstate(all="ignore"):
        update = np.subtract(outcome, base, dtype=np.float64)
        error = np.subtract(stored.astype(outcome.dtype), outcome, dtype=np.float64)
    finite = np.isfinite(error) & np.isfinite(update)  # of the others there is nothing to count
    changed = (outcome != base) & finite
    lost = changed & (stored == rounded(base, dtype))
    norms = (float(np.square(each).sum(where=finite)) for each in (update, error))
    return Tally(0, 0, 0.0, int(np.count_nonzero(changed)), int(np.count_nonzero(lost)), *norms)
