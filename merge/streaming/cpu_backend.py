"""The CPU: compiled sums where the method is one, numpy for everything else and where nothing was compiled.

Both give the same bytes. numpy is imported only when it is needed, since that costs as much as summing half a
gigabyte.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..checkpoints.files import Buffer
from .compiled import compiled_loops

if TYPE_CHECKING:
    from .numpy_backend import NumpyBackend

WeightedSumKernel = Callable[[str, tuple[Buffer, ...], tuple[float, ...], Buffer, Buffer | None], bool]
COMPILED_TYPES = frozenset({"BF16", "F16", "F32"})


class CpuBackend:
    """One worker's buffers; see the numpy backend for the verbs that are handed on to it.

    Args:
        allow_nonfinite: Whether inputs may hold infinities and NaN; the compiled sums cannot.

    Attributes:
        weighted_sum: Writes a sum and tells whether all of it was finite; None where nothing was compiled.
        spare: A backend for what does not fit this one's memory; there is none.
    """

    spare = None

    def __init__(self, *, allow_nonfinite: bool = False) -> None:
        self._allow_nonfinite = allow_nonfinite
        self._raw: dict[object, bytearray] = {}
        compiled = None if allow_nonfinite else compiled_loops()
        self.weighted_sum: WeightedSumKernel | None = compiled.weighted_sum if compiled else None

    def raw(self, key: object, nbytes: int) -> Buffer:
        """Return the byte buffer of this key with this length; its contents stay until it is asked for again."""
        buffer = self._raw.get(key)
        if buffer is None or len(buffer) < nbytes:
            buffer = self._raw[key] = bytearray(nbytes)
        return memoryview(buffer)[:nbytes]

    @cached_property
    def _arrays(self) -> NumpyBackend:
        from .numpy_backend import NumpyBackend

        return NumpyBackend(allow_nonfinite=self._allow_nonfinite)

    def __getattr__(self, name: str) -> Any:
        """Hand on a verb of the numpy backend; the next time it is found without this detour."""
        verb = self.__dict__[name] = getattr(self._arrays, name)
        return verb
