"""A checkpoint whose tensors go by other names, some put together from rows of its own or with their axes exchanged."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..dtypes import DTYPES
from .checkpoint import FileIdentity, Source
from .derived import DerivedSource
from .files import Buffer
from .header import TensorInfo


class Part(NamedTuple):
    """Rows of a source's tensor.

    Attributes:
        tensor: The source's tensor.
        rows: Its first row and the one after its last.
        transposed: Whether the axes are exchanged; of whole matrices alone.
    """

    tensor: TensorInfo
    rows: tuple[int, int]
    transposed: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of the rows."""
        return (self.rows[1] - self.rows[0]) * self._row_bytes

    @property
    def begin(self) -> int:
        """The first byte within the tensor."""
        return self.rows[0] * self._row_bytes

    @property
    def _row_bytes(self) -> int:
        return math.prod(self.tensor.shape[1:]) * DTYPES[self.tensor.dtype].bits // 8

    def follows(self, other: Part) -> bool:
        """Tell whether these rows come right after others of the same tensor."""
        plain = not self.transposed and not other.transposed
        return plain and self.tensor.name == other.tensor.name and other.rows[1] == self.rows[0]


class Pieced(NamedTuple):
    """A tensor that is put together: its parts one below the other, and its shape."""

    parts: tuple[Part, ...]
    shape: tuple[int, ...]


class PiecedSource(DerivedSource):
    """Another source under other names, with tensors that are put together from parts of the source's.

    What is put together has a file number of its own, so that no reader takes two neighbours for one range.

    Args:
        source: Any checkpoint.
        tensors: The source's own tensors by their new names.
        pieced: What is put together, by its new name; the parts of one have one type.
        location: What stands for it in messages.
    """

    def __init__(
        self, source: Source, tensors: Mapping[str, TensorInfo], pieced: Mapping[str, Pieced], location: str
    ) -> None:
        first = max((tensor.file for tensor in source.tensors.values()), default=-1) + 1
        own = {name: _info(name, found, first + number) for number, (name, found) in enumerate(pieced.items())}
        super().__init__(source, {**tensors, **own}, location, own)
        self._pieced = dict(pieced)
        self._last = threading.local()

    @property
    def identities(self) -> list[FileIdentity]:
        """The source's files and the parts themselves; empty, as the source's, for tensors in memory."""
        return self.marked("parts", _digest(self._pieced))

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this byte offset within the tensor."""
        found = self._pieced.get(tensor.name)
        if found is None:
            self.source.read_into(tensor, offset, buffer)
            return
        begin = 0
        for part in found.parts:
            start, stop = max(offset, begin), min(offset + len(buffer), begin + part.nbytes)
            if start < stop:
                self._read_part(part, start - begin, buffer[start - offset : stop - offset])
            begin += part.nbytes

    def _read_part(self, part: Part, offset: int, buffer: Buffer) -> None:
        if part.transposed:
            buffer[:] = self._transposed(part)[offset : offset + len(buffer)]
        else:
            self.source.read_into(part.tensor, part.begin + offset, buffer)

    def _transposed(self, part: Part) -> Buffer:
        """Return a matrix with its axes exchanged: this thread's last one, or a new one."""
        import numpy as np

        known: tuple[str, Buffer] | None = getattr(self._last, "matrix", None)
        if known is not None and known[0] == part.tensor.name:
            return known[1]
        self._last.matrix = None  # so that no two are held at once
        raw = np.empty(part.tensor.nbytes, np.uint8)
        self.source.read_into(part.tensor, 0, raw.data)
        width = DTYPES[part.tensor.dtype].bits // 8
        turned = np.ascontiguousarray(raw.view(f"u{width}").reshape(part.tensor.shape).T)
        self._last.matrix = (part.tensor.name, turned.reshape(-1).view(np.uint8).data)
        return self._transposed(part)


def _info(name: str, pieced: Pieced, file: int) -> TensorInfo:
    nbytes = sum(part.nbytes for part in pieced.parts)
    return TensorInfo(name, pieced.parts[0].tensor.dtype, pieced.shape, file, 0, nbytes)


def _digest(pieced: Mapping[str, Pieced]) -> int:
    """Return 64 bits that tell one way to put tensors together from another."""
    import xxhash

    found = xxhash.xxh3_64()
    for name, each in sorted(pieced.items()):
        parts: Sequence[tuple[str, tuple[int, int], bool]] = [(p.tensor.name, p.rows, p.transposed) for p in each.parts]
        found.update(f"{name}\0{parts}\0".encode())
    return found.intdigest()
