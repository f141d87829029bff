"""What adapters add, as models to merge: task vectors without the base that they belong to, which is 0 in their plan.

The values are computed in float64 block by block while they are read, and rounded to float32 once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from math import prod
from typing import Any

from ...checkpoints.checkpoint import FileIdentity
from ...checkpoints.files import Buffer
from ...checkpoints.header import TensorInfo
from ..rows import Rows, rows_of
from .member import Addend, Member

BLOCK_ELEMENTS = 2**18  # of one block, at least one row; fixed, since it decides how products are rounded
LOADED = 4  # modules whose factors are held in memory at once
ITEM_BYTES = 4


def weight_infos(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, TensorInfo]:
    """Return float32 tensors of these shapes, each in a file of its own, so that none is read together with another."""
    return {
        name: TensorInfo(name, "F32", shape, number, 0, ITEM_BYTES * prod(shape))
        for number, (name, shape) in enumerate(shapes.items())
    }


class ZeroSource:
    """A model whose weights are all 0."""

    def __init__(self, location: str, tensors: Mapping[str, TensorInfo]) -> None:
        self.location, self.tensors = location, tensors
        self.notes: list[str] = []
        self.metadata: Mapping[str, str] = {}
        self.config: Mapping[str, Any] = {}
        self.identities: list[FileIdentity] = []

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with zeros."""
        buffer[:] = bytes(len(buffer))

    def check_unchanged(self) -> None:
        """Zeros do not change."""

    def close(self) -> None:
        """Nothing is held open."""


class ProductsSource(ZeroSource):
    """What an adapter adds to the weights of a model, and 0 where it adds nothing.

    Args:
        member: The adapter; it stays open.
        tensors: Names and shapes of the weights.
        modules: The module of every weight.
    """

    def __init__(self, member: Member, tensors: Mapping[str, TensorInfo], modules: Mapping[str, str]) -> None:
        super().__init__(member.location, tensors)
        self.identities = member.weights.identities
        self._weights = member.weights
        self._addends: dict[str, Addend] = {
            name: member.addends[module] for name, module in modules.items() if module in member.addends
        }
        self._loaded: OrderedDict[str, Rows] = OrderedDict()
        self._loading = threading.Lock()
        self._last = threading.local()

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the product's bytes from this byte offset within the tensor."""
        if tensor.name not in self._addends:
            super().read_into(tensor, offset, buffer)
            return
        size, done = _rows_of_block(tensor.shape) * _row_bytes(tensor.shape), 0
        while done < len(buffer):
            number, start = divmod(offset + done, size)
            part = self._block(tensor, number)[start:][: len(buffer) - done]
            buffer[done : done + len(part)] = part
            done += len(part)

    def _block(self, tensor: TensorInfo, number: int) -> Buffer:
        """Return a block of a tensor: this thread's last one, or a new one."""
        known: tuple[str, int, Buffer] | None = getattr(self._last, "block", None)
        if known is not None and known[:2] == (tensor.name, number):
            return known[2]
        self._last.block = None  # so that no two blocks are held at once
        block = self._computed(tensor, number)
        self._last.block = (tensor.name, number, block)
        return block

    def _computed(self, tensor: TensorInfo, number: int) -> Buffer:
        import numpy as np

        rows = _rows_of_block(tensor.shape)
        first, last = number * rows, min((number + 1) * rows, tensor.shape[0])
        values = self._rows(tensor.name).rows(first, last)
        values *= self._addends[tensor.name].scaling
        with np.errstate(over="ignore", invalid="ignore"):  # the engine refuses what is not finite
            return np.ascontiguousarray(values.astype(np.float32)).reshape(-1).view(np.uint8).data

    def _rows(self, name: str) -> Rows:
        """Return the rows of a tensor, and let those that were asked for longest ago give their memory back."""
        import numpy as np

        with self._loading:
            if name not in self._loaded:
                self._loaded[name] = rows_of(self._addends[name].factors, self._weights.read_into, np.float64)
            self._loaded.move_to_end(name)
            while len(self._loaded) > LOADED:
                self._loaded.popitem(last=False)
            return self._loaded[name]

    def check_unchanged(self) -> None:
        """Refuse files that are no longer those that were opened."""
        self._weights.check_unchanged()


class WholeSource(ZeroSource):
    """Tensors of an adapter that were trained whole, under the names that they have in the outcome.

    Args:
        member: The adapter; it stays open.
        found: Its tensors by these names.
    """

    def __init__(self, member: Member, found: Mapping[str, TensorInfo]) -> None:
        renamed = enumerate(found.items())
        tensors = {name: tensor._replace(name=name, file=number, start=0) for number, (name, tensor) in renamed}
        super().__init__(member.location, tensors)
        self.identities = member.weights.identities
        self._weights, self._found = member.weights, found

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the adapter's bytes from this byte offset within the tensor."""
        self._weights.read_into(self._found[tensor.name], offset, buffer)

    def check_unchanged(self) -> None:
        """Refuse files that are no longer those that were opened."""
        self._weights.check_unchanged()


def _row_bytes(shape: tuple[int, ...]) -> int:
    return ITEM_BYTES * prod(shape[1:])


def _rows_of_block(shape: tuple[int, ...]) -> int:
    return max(1, BLOCK_ELEMENTS // max(1, prod(shape[1:])))
