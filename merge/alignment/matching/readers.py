"""Models that are read tensor by tensor while they are matched."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ...checkpoints.memory import MemoryCheckpoint
from ...dtypes import DTYPES, numpy_dtype
from ...errors import MergeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...checkpoints.checkpoint import Source

    Numbers = NDArray[np.floating[Any]]

CACHE_BYTES = 64 * 2**20  # the small tensors, which are many, stay in memory; the large ones come from the page cache


class Reader(Protocol):
    """A model whose tensors can be read by name.

    Attributes:
        where: The model, for messages.
        shapes: Of its floating tensors, by name.
    """

    @property
    def where(self) -> str: ...  # noqa: D102
    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]: ...  # noqa: D102

    def read(self, name: str) -> Numbers:
        """Return a tensor in float32 or float64, which must not be written to.

        Raises:
            MergeError: It cannot be read, or holds NaN or infinities.
        """


class CheckpointReader:
    """An open checkpoint. A few tensors are kept, so that a group's small ones are not read in every sweep.

    Args:
        source: The checkpoint.
        cache_bytes: How much may be kept.
    """

    def __init__(self, source: Source, cache_bytes: int = CACHE_BYTES) -> None:
        self.where = source.location
        self.shapes: Mapping[str, tuple[int, ...]] = {
            name: info.shape for name, info in source.tensors.items() if DTYPES[info.dtype].kind == "float"
        }
        self._source, self._room = source, cache_bytes
        self._kept: OrderedDict[str, Numbers] = OrderedDict()

    def read(self, name: str) -> Numbers:
        """Return a tensor in float64 if it is stored so, else in float32.

        Raises:
            MergeError: It cannot be read, or holds NaN or infinities.
        """
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        found = self._load(name)
        self._keep(name, found)
        return found

    def _load(self, name: str) -> Numbers:
        import numpy as np

        info = self._source.tensors[name]
        stored = np.empty(info.shape, numpy_dtype(info.dtype))
        if info.nbytes:
            self._source.read_into(info, 0, stored.reshape(-1).view(np.uint8).data)
        found: Numbers = stored if info.dtype in {"F32", "F64"} else stored.astype(np.float32)
        if not np.isfinite(found).all():
            hint = "units cannot be compared by such numbers"
            raise MergeError(f"'{name}' holds NaN or infinities", where=self.where, hint=hint)
        return found

    def _keep(self, name: str, found: Numbers) -> None:
        if found.nbytes > self._room // 8:
            return
        self._kept[name] = found
        while sum(kept.nbytes for kept in self._kept.values()) > self._room:
            self._kept.popitem(last=False)


class StateReader(CheckpointReader):
    """A state dict in memory, of torch tensors or numpy arrays.

    Args:
        where: What messages call it.
        state: The tensors by name.
    """

    def __init__(self, where: str, state: Mapping[str, Any]) -> None:
        super().__init__(MemoryCheckpoint(where, state), cache_bytes=0)
