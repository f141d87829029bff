"""Weights that torch.nn.utils.prune keeps as two tensors, ``X_orig`` and ``X_mask``, read as their product ``X``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..dtypes import DTYPES, numpy_dtype
from ..errors import MergeError
from .checkpoint import FileCheckpoint, Source
from .derived import DerivedSource
from .files import Buffer
from .header import TensorInfo
from .masked_layout import HINT, Masked, find_masked, note_of, unmasked
from .wrapped import WrappedCheckpoint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AT_ONCE = 2**20  # entries that are masked at a time


class MaskedValues:
    """Reads pruned weights as they are used: 0 wherever the mask is.

    Args:
        source: Has originals and masks.
        masked: These, by the weights' names.
    """

    def __init__(self, source: Source, masked: Mapping[str, Masked]) -> None:
        self._source, self._masked = source, masked

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with a tensor's bytes from this byte offset within it.

        Raises:
            MergeError: A mask holds anything but 0 and 1.
        """
        found = self._masked.get(tensor.name)
        if found is None:
            self._source.read_into(tensor, offset, buffer)
            return
        self._source.read_into(found.original, offset, buffer)
        width = DTYPES[tensor.dtype].bits // 8
        last = -(-(offset + len(buffer)) // width)
        for start in range(offset // width, last, AT_ONCE):
            stop = min(start + AT_ONCE, last)
            self._clear(found, start, stop, buffer, start * width - offset, width)

    def _clear(self, found: Masked, start: int, stop: int, buffer: Buffer, at: int, width: int) -> None:
        """Set entries to 0 in the buffer, in which the first one begins at a place, before it where it is cut."""
        import numpy as np

        kept = self._kept(found, start, stop)
        first, last = max(at, 0), min(at + (stop - start) * width, len(buffer))
        whole = np.repeat(kept, width)[first - at :][: last - first]
        np.frombuffer(buffer, np.uint8)[first:last] *= whole

    def _kept(self, found: Masked, start: int, stop: int) -> NDArray[np.uint8]:
        """Return 1 for entries that stay, and 0 for the others."""
        import numpy as np

        kind = numpy_dtype(found.mask.dtype)
        raw = bytearray((stop - start) * kind.itemsize)
        self._source.read_into(found.mask, start * kind.itemsize, memoryview(raw))
        values = np.frombuffer(raw, kind)
        kept: NDArray[np.uint8] = (values == 1).astype(np.uint8)
        if not ((values == 0) | (kept == 1)).all():
            odd = values[(values != 0) & (kept == 0)][0]
            raise MergeError(f"the mask '{found.mask.name}' holds {odd}", where=self._source.location, hint=HINT)
        return kept


class MaskedCheckpoint(WrappedCheckpoint):
    """Another checkpoint with its masks applied; they are no tensors of it any more.

    Args:
        source: The checkpoint beneath.
        masked: Its pruned weights, by the names that they are read under.
    """

    reads_in_order = False  # of a large weight, its original and its mask take turns

    def __init__(self, source: FileCheckpoint, masked: Mapping[str, Masked]) -> None:
        super().__init__(source, unmasked(source, masked), masked, note_of(masked))
        self._values = MaskedValues(source, masked)

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this byte offset within the tensor."""
        self._values.read_into(tensor, offset, buffer)


class MaskedState(DerivedSource):
    """A state dict in memory with its masks applied.

    Args:
        source: The state dict.
        masked: Its pruned weights, by the names that they are read under.
    """

    def __init__(self, source: Source, masked: Mapping[str, Masked]) -> None:
        super().__init__(source, unmasked(source, masked), source.location, masked)
        self.notes = [note_of(masked)]
        self._values = MaskedValues(source, masked)

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this byte offset within the tensor."""
        self._values.read_into(tensor, offset, buffer)


def with_masks_applied(source: FileCheckpoint) -> FileCheckpoint:
    """Return a checkpoint with its masks applied; as it is where it has none.

    Raises:
        MergeError: A mask fits no weight.
    """
    masked = find_masked(source)
    return MaskedCheckpoint(source, masked) if masked else source


def state_with_masks_applied(source: Source) -> Source:
    """Return a state dict in memory with its masks applied; as it is where it has none.

    Raises:
        MergeError: A mask fits no weight.
    """
    masked = find_masked(source)
    return MaskedState(source, masked) if masked else source
