"""The factors of a difference as two matrices in float64."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from ...checkpoints.header import TensorInfo
from ...errors import MergeError
from ..elements import ReadPart, elements
from .member import Addend, Member
from .sums import Term

if TYPE_CHECKING:
    from numpy.typing import NDArray


def term_of(member: Member, module: str, coefficient: float) -> Term:
    """Return what an adapter adds to a module as a term of a sum: B [outputs, rank] and A [rank, inputs and kernel].

    Raises:
        MergeError: An entry is not finite.
    """
    addend = member.addends[module]
    read = member.weights.read_into
    left, right = _factors(addend, read)
    _refuse_nonfinite((left, right), addend, member)
    return Term(coefficient * addend.scaling, right, left)


def _factors(addend: Addend, read: ReadPart) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return [outputs, rank] and [rank, inputs and kernel], a core between them multiplied into the latter."""
    import numpy as np

    found = addend.factors
    left, right = matrix_of(found.left, read), matrix_of(found.right, read)
    left = left.T if found.turned else left
    if found.core is not None:
        kernel = prod(found.core.shape[2:])
        core = matrix_of(found.core, read).reshape(*found.core.shape[:2], kernel)
        right = np.einsum("mnk,nj->mjk", core, right).reshape(found.core.shape[0], -1)
    return left, right


def matrix_of(tensor: TensorInfo, read: ReadPart) -> NDArray[Any]:
    """Return a tensor as a matrix of its first axis and all others, in float64."""
    import numpy as np

    return elements(tensor, read, 0, prod(tensor.shape), np.float64).reshape(tensor.shape[0], -1)


def _refuse_nonfinite(factors: tuple[NDArray[Any], ...], addend: Addend, member: Member) -> None:
    import numpy as np

    for values, tensor in zip(factors, (addend.factors.left, addend.factors.right), strict=True):
        if not np.isfinite(values).all():
            raise MergeError(f"'{tensor.name}' has entries that are not finite", where=member.location)
