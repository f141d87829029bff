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
from ..blocks import LOADED, Blocks, rows_of_block
from ..rows import Rows, rows_of
from .member import Addend, Member

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
        self._blocks = Blocks(self._block)

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the product's bytes from this byte offset within the tensor."""
        if tensor.name not in self._addends:
            super().read_into(tensor, offset, buffer)
            return
        size = rows_of_block(tensor.shape) * ITEM_BYTES * prod(tensor.shape[1:])
        self._blocks.read_into(tensor.name, size, offset, buffer)

    def _block(self, name: str, number: int) -> Buffer:
        import numpy as np

        shape = self.tensors[name].shape
        rows = rows_of_block(shape)
        values = self._rows(name).rows(number * rows, min((number + 1) * rows, shape[0]))
        values *= self._addends[name].scaling
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
