"""Takes the factors of modules as they are made, and keeps them in a spool in the form that a file has."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from ...streaming.rounding import rounded
from ..low_rank.spool import Spool
from ..low_rank.writing import AdapterTensor
from .shaping import Made, names_of
from .sums import Sum
from .uniting import United

if TYPE_CHECKING:
    from numpy.typing import NDArray

Advance = Callable[[int], None]


class Keeper:
    """Keeps what is made. Several threads may bring modules at once.

    Args:
        united: The adapters.
        dtype: Format code of the factors' type.
        spool: Where tensors are kept.
        advance: Called with the number of modules that were finished, from any thread.

    Attributes:
        found: What was made of every module.
    """

    def __init__(self, united: United, dtype: str, spool: Spool, advance: Advance) -> None:
        self._united, self._dtype, self._spool, self._advance = united, dtype, spool, advance
        self.found: dict[str, Made] = {}

    def keep(self, module: str, made: Sum, shift: NDArray[Any] | None = None) -> None:
        """Take the factors of a module, and what is added to its bias.

        Raises:
            MergeError: An entry does not fit into its type.
        """
        first = self._united.first_of(module)
        _refuse_overflow(module, made, self._dtype)
        kernel = () if first.is_transposed else first.shape[2:]
        a, b = made.a, made.b
        if kernel:
            a, b = a.reshape(len(a), -1, *kernel), b.reshape(*b.shape, *(1 for _ in kernel))
        tensors = self._spooled(module, a, b, shift, made.scaling)
        self._advance(1)
        self.found[module] = Made(module, first.kind, len(a), made.scaling, made.norm, made.error, tensors)

    def _spooled(
        self, module: str, a: NDArray[Any], b: NDArray[Any], shift: NDArray[Any] | None, scaling: float
    ) -> tuple[AdapterTensor, ...]:
        """Put the tensors of a module into the spool, its scale too where it lies in the file."""
        import numpy as np

        names = names_of(self._united, module)
        if self._united.is_single_file and names.alpha is None:  # nothing else could hold the scale
            b = rounded(b.astype(np.float64) * scaling, self._dtype)
        given = [(names.a, self._dtype, a), (names.b, self._dtype, b)]
        given += [(names.shift, self._dtype, shift)] if shift is not None else []
        if names.alpha is not None:
            given.append((names.alpha, "F32", np.array(scaling * len(a), np.float32)))
        return tuple(self.tensor(*each) for each in given)

    def tensor(self, name: str, dtype: str, values: NDArray[Any]) -> AdapterTensor:
        """Take one tensor of the file."""
        spooled = self._spool.append(values)
        return AdapterTensor(name, dtype, tuple(values.shape), partial(self._spool.read_into, spooled))


def _refuse_overflow(module: str, made: Sum, dtype: str) -> None:
    import numpy as np

    for values in (made.a, made.b):
        if not np.isfinite(values.astype(np.float32)).all():
            hint = "give --dtype float32 or bfloat16, which hold larger numbers"
            raise MergeError(f"the factors of '{module}' have entries beyond {dtype}", hint=hint)
