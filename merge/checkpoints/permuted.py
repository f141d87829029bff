"""A checkpoint whose tensors are gathered along their axes while they are read: a model with its units reordered."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..dtypes import DTYPES
from ..errors import MergeError
from .checkpoint import FileIdentity, Source
from .derived import DerivedSource
from .files import Buffer
from .gathering import Block, Layout
from .header import TensorInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..alignment.permutations import AxisIndices


class PermutedSource(DerivedSource):
    """Another source with some of its tensors gathered; bit for bit, in any type of whole bytes.

    Tensors that move have a file number of their own, so that no reader takes two neighbours for one range. The source
    is closed with this one.

    Args:
        source: Any checkpoint.
        indices: By tensor and axis, which index comes to each place, as `axis_indices` returns them.
        location: What stands for it in messages.

    Raises:
        MergeError: An index names no tensor or axis, is no order of its entries, or moves a type narrower than a byte.
    """

    def __init__(self, source: Source, indices: AxisIndices, location: str) -> None:
        moving = {name: _moving(axes) for name, axes in indices.items()}
        moving = {name: axes for name, axes in moving.items() if axes}
        for name, axes in moving.items():
            _check(source, name, axes, location)
        first = max((tensor.file for tensor in source.tensors.values()), default=-1) + 1
        own = {name: source.tensors[name]._replace(file=first + number, start=0) for number, name in enumerate(moving)}
        super().__init__(source, {**source.tensors, **own}, location, moving)
        self.notes = source.notes
        self._layouts = {name: _layout(source.tensors[name], axes) for name, axes in moving.items()}
        self._order = _digest(moving)
        self._last = threading.local()

    @property
    def identities(self) -> list[FileIdentity]:
        """The source's files and the order itself; empty, as the source's, for tensors in memory."""
        return self.marked("order", self._order)

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the moved tensor's bytes from this byte offset within the tensor."""
        layout = self._layouts.get(tensor.name)
        if layout is None:
            self.source.read_into(tensor, offset, buffer)
        elif not len(buffer):
            return
        elif layout.moves_within:
            self._read_gathered(tensor.name, layout, offset, buffer)
        else:
            layout.read_cells(self._reader(tensor.name), offset, buffer)

    def _read_gathered(self, name: str, layout: Layout, offset: int, buffer: Buffer) -> None:
        size, done = layout.cell_bytes, 0
        last = -(-(offset + len(buffer)) // size)
        while done < len(buffer):
            block = self._block(name, layout, (offset + done) // size, last)
            part = block.data[offset + done - block.first * size :][: len(buffer) - done]
            buffer[done : done + len(part)] = part
            done += len(part)

    def _block(self, name: str, layout: Layout, first: int, last: int) -> Block:
        """Return gathered cells from ``first`` on: this thread's last ones, where they begin before, or new ones."""
        known: tuple[str, Block] | None = getattr(self._last, "block", None)
        if known is not None and known[0] == name and known[1].first <= first < known[1].last:
            return known[1]
        self._last.block = None  # so that no two blocks are held at once
        block = layout.gather(self._reader(name), first, last)
        self._last.block = (name, block)
        return block

    def _reader(self, name: str) -> Any:
        tensor = self.source.tensors[name]
        return lambda offset, buffer: self.source.read_into(tensor, offset, buffer)

    def close(self) -> None:
        """Close the source."""
        self.source.close()


def _layout(tensor: TensorInfo, axes: Mapping[int, NDArray[np.int64]]) -> Layout:
    return Layout(tensor.shape, DTYPES[tensor.dtype].bits // 8, axes)


def _moving(axes: Mapping[int, NDArray[np.int64]]) -> dict[int, NDArray[np.int64]]:
    """Return the axes whose order is not the one they have."""
    import numpy as np

    return {axis: index for axis, index in axes.items() if not np.array_equal(index, np.arange(len(index)))}


def _check(source: Source, name: str, axes: Mapping[int, NDArray[np.int64]], where: str) -> None:
    """Refuse what cannot be gathered."""
    import numpy as np

    tensor = source.tensors.get(name)
    if tensor is None:
        raise MergeError(f"an order is given for '{name}', which it does not have", where=where)
    if DTYPES[tensor.dtype].bits % 8:
        what = f"'{name}' has entries narrower than a byte ({tensor.dtype}), which cannot be reordered"
        raise MergeError(what, where=where, hint="use a checkpoint with unpacked weights")
    for axis, index in axes.items():
        length = tensor.shape[axis] if 0 <= axis < len(tensor.shape) else None
        if length is None or not np.array_equal(np.sort(index), np.arange(length)):
            what = (
                f"what is given for axis {axis} of '{name}', of shape {list(tensor.shape)}, is no order of its entries"
            )
            raise MergeError(what, where=where)


def _digest(moving: Mapping[str, Mapping[int, NDArray[np.int64]]]) -> int:
    """Return 64 bits that tell one set of orders from another."""
    import xxhash

    found = xxhash.xxh3_64()
    for name in sorted(moving):
        for axis in sorted(moving[name]):
            found.update(f"{name}\0{axis}\0".encode() + moving[name][axis].astype("<i8").tobytes())
    return found.intdigest()
