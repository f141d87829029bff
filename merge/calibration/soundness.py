"""What the numbers of statistics must be, whoever computed them."""

from __future__ import annotations

from typing import Any

SYMMETRY = 1e-5  # most that two entries of a Gram matrix may differ by, of its largest


def what_is_wrong(kind: str, array: Any, xp: Any) -> str | None:
    """Return what is wrong with statistics, as the end of a sentence about them; None for sound ones.

    Args:
        kind: ``fisher``, ``gram``, or nothing, of which only finite numbers are asked.
        array: Fisher information of any shape, or a Gram matrix [inputs, inputs].
        xp: The array API namespace of the array.
    """
    if not xp.all(xp.isfinite(array)):
        return "hold an infinity or NaN"
    if kind == "gram":
        return _wrong_gram(array, xp)
    return _wrong_information(array, xp) if kind == "fisher" else None


def _wrong_information(array: Any, xp: Any) -> str | None:
    return "are negative somewhere, which a mean of squares never is" if xp.any(array < 0) else None


def _wrong_gram(array: Any, xp: Any) -> str | None:
    numbers = xp.arange(array.shape[0])
    if xp.any(array[numbers, numbers] < 0):
        return "have a negative number on the diagonal, which a Gram matrix never has"
    if xp.max(xp.abs(array - array.T)) > SYMMETRY * xp.max(xp.abs(array)):
        return "are not symmetric, which a Gram matrix is"
    return None
