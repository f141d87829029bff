"""A network that holds the units of two others, computed while it is read."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..dtypes import DTYPES
from .beside import AS_IT_IS, Beside
from .checkpoint import WIDE_KEY, FileIdentity, Source
from .derived import DerivedSource
from .files import Buffer
from .header import TensorInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class WideSource(DerivedSource):
    """Another source whose tensors have other values and wider axes.

    Tensors that are computed have a file number of their own, so that no reader takes two neighbours for one range.
    Each is computed as a whole when a thread begins to read it.

    Attributes:
        own_beside: What becomes of the files beside the weights.
        members: Content ids that the models must have, by their positions among the sources; empty where not known.
        file: The statistics that say so.
        treatments: What becomes of every tensor that is computed, and why it is no more than that.

    Args:
        source: The first of the two networks; what is not computed is as it has it.
        shapes: Of the tensors that are computed, by name.
        compute: Name ▸ the tensor's values.
        dtype: Type that they are given in; None: each as the source has it.
        told: JSON for the metadata, which says how the network is wider than its architecture.
        digest: 64 bits that tell one network made of these sources from another.
        location: What stands for it in messages.
        notes: What the user should know of it.
        beside: What becomes of the files beside the weights.
        members, file, treatments: As above.
    """

    def __init__(
        self,
        source: Source,
        shapes: Mapping[str, tuple[int, ...]],
        compute: Callable[[str], NDArray[np.floating[Any]]],
        *,
        dtype: str | None,
        told: str,
        digest: int,
        location: str,
        notes: Sequence[str] = (),
        beside: Beside = AS_IT_IS,
        members: Mapping[int, str] | None = None,
        file: str = "",
        treatments: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        first = max((tensor.file for tensor in source.tensors.values()), default=-1) + 1
        own = {
            name: _resized(source.tensors[name], shape, dtype, first + number)
            for number, (name, shape) in enumerate(shapes.items())
        }
        super().__init__(source, {**source.tensors, **own}, location, own)
        self.notes, self.own_beside = [*notes], beside
        self.members, self.file, self.treatments = dict(members or {}), file, dict(treatments or {})
        self._compute, self._told, self._digest = compute, told, digest
        self._last = threading.local()

    @property
    def metadata(self) -> Mapping[str, str]:
        """The source's, and how the network is wider than its architecture."""
        return {**super().metadata, WIDE_KEY: self._told}

    @property
    def identities(self) -> list[FileIdentity]:
        """The source's files and what was made of them."""
        return self.marked("wide", self._digest)

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this byte offset within the tensor."""
        if tensor.name not in self.changed:
            self.source.read_into(tensor, offset, buffer)
        elif len(buffer):
            buffer[:] = self._bytes(tensor)[offset : offset + len(buffer)]

    def _bytes(self, tensor: TensorInfo) -> memoryview:
        """Return a tensor's bytes: the last ones that this thread has computed, or new ones."""
        known: tuple[str, memoryview] | None = getattr(self._last, "found", None)
        if known is None or known[0] != tensor.name:
            self._last.found = None  # so that no two are held at once
            known = self._last.found = (tensor.name, self._computed(tensor))
        return known[1]

    def _computed(self, tensor: TensorInfo) -> memoryview:
        import numpy as np

        from ..adapters.blas import one_blas_thread
        from ..vocabulary.taking import rounded

        with one_blas_thread():
            values = np.asarray(self._compute(tensor.name), np.float64)
        return np.ascontiguousarray(rounded(values, tensor.dtype)).reshape(-1).view(np.uint8).data


def _resized(tensor: TensorInfo, shape: tuple[int, ...], dtype: str | None, file: int) -> TensorInfo:
    code = dtype or tensor.dtype
    nbytes = math.prod(shape) * DTYPES[code].bits // 8
    return tensor._replace(dtype=code, shape=shape, file=file, start=0, nbytes=nbytes)
