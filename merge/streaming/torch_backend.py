"""The same arithmetic on torch, for ``--device cuda``.

Every worker owns buffers, pinned as far as that pays, and streams; see `merge.streaming.lanes`. Multiply and add stay
separate kernels, so results equal the CPU's bit for bit for elementwise methods.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from ..arithmetic.consensus import agreeing_sum
from ..checkpoints.files import Buffer
from ..dtypes import torch_dtype
from .cpu_backend import CpuBackend
from .lanes import CudaLanes, Lanes, NoLanes
from .ranks import COMPARISONS
from .rounding import single_rounding

if TYPE_CHECKING:
    from .shortage import Room

BLOCK_ELEMENTS = 2**22  # a whole piece: transfers and kernels are cheap only when they are large
_ENDS = {"F8_E4M3": 464.0}  # what is beyond becomes NaN, as in numpy; newer versions of torch would make it 448
PINNED_BYTES = 2**25  # pinning takes as long as copying several times; larger buffers belong to matrices, far slower


class TorchBackend:
    """One worker's buffers, streams and conversions.

    Args:
        device: A torch device name: ``cuda:1`` or ``cpu``.
        room: The memory of that device which its workers share; None where it is not limited.
        allow_nonfinite: Whether inputs may hold infinities and NaN.
    """

    def __init__(self, device: str, room: Room | None = None, *, allow_nonfinite: bool = False) -> None:
        import torch
        from array_api_compat import torch as namespace

        self.xp, self._torch = namespace, torch
        self._device, self._room, self._allow_nonfinite = torch.device(device), room, allow_nonfinite
        self._cuda = self._device.type == "cuda"
        self._lanes: Lanes = CudaLanes(self._device) if self._cuda else NoLanes()
        self._host = self.spare()
        self.block_elements = BLOCK_ELEMENTS
        self.weighted_sum = None  # a GPU's own kernels hide behind the transfers
        self._raw: dict[object, Any] = {}

    def raw(self, key: object, nbytes: int) -> Buffer:
        """Return the byte buffer of this key with this length, to be filled: nothing is sent from it any more."""
        self._lanes.settle()
        buffer = self._raw.get(key)
        if buffer is None or len(buffer) < nbytes:
            self._raw.pop(key, None)  # first, so that both are never held
            buffer = self._raw[key] = self._buffer(nbytes)
        return memoryview(buffer.numpy().data)[:nbytes]

    def _buffer(self, nbytes: int) -> Any:
        if self._cuda and nbytes <= PINNED_BYTES:
            try:
                return self._torch.empty(nbytes, dtype=self._torch.uint8, pin_memory=True)
            except RuntimeError:  # the system pins no more; copies are slower, and right
                pass
        return self._torch.empty(nbytes, dtype=self._torch.uint8)

    def admit(self, nbytes: int) -> AbstractContextManager[None]:
        """Return a context within which so much of the device's memory may be used, which may have to be waited for.

        Raises:
            ShortageError: There is not so much.
        """
        return self._room.take(nbytes) if self._room is not None else nullcontext()

    def spare(self) -> CpuBackend:
        """Return a backend for what does not fit the device."""
        return CpuBackend(allow_nonfinite=self._allow_nonfinite)

    def release(self) -> None:
        """Give back the memory of the device that is kept for later."""
        self._lanes.settle()
        if self._cuda:
            self._torch.cuda.empty_cache()

    def begin(self) -> None:
        """Start a block, in the thread that computes it."""
        self._lanes.begin()

    def load(self, raw: Buffer, dtype: str, accumulator: str, base: Any = None) -> Any:
        """Send a byte buffer to the device and return its numbers in the accumulator's type, less a base."""
        sent = self._lanes.send(self._torch.frombuffer(raw, dtype=torch_dtype(dtype)))
        numbers = sent.to(torch_dtype(accumulator), copy=True)
        if base is not None:
            numbers -= base
        return numbers

    def load_alone(self, raw: Buffer, dtype: str) -> Any:
        """Return numbers in float64, on the device."""
        sent = self._lanes.send(self._torch.frombuffer(raw, dtype=torch_dtype(dtype)))
        return sent.to(self._torch.float64, copy=True)

    def store(self, array: Any, dtype: str, raw: Buffer) -> None:
        """Round once to the output's type, to nearest even, fetch the bytes into a buffer and wait for them."""
        target = torch_dtype(dtype)
        if array.dtype == self._torch.float64 and target.itemsize < 4:
            array = single_rounding(array, self._torch)  # torch rounds by way of float32
        if dtype in _ENDS:
            nothing = self._torch.copysign(self._torch.full_like(array, math.nan), array)
            array = self._torch.where(array.abs() > _ENDS[dtype], nothing, array)
        rounded = array.to(target).view(self._torch.uint8)
        self._lanes.fetch(rounded, self._torch.frombuffer(raw, dtype=self._torch.uint8))

    def first_nonfinite(self, raw: Buffer, dtype: str) -> int | None:
        """Return the position of the first infinity or NaN in a byte buffer, or None. Runs on the CPU."""
        found: int | None = self._host.first_nonfinite(raw, dtype)
        return found

    def count_nonfinite(self, raw: Buffer, dtype: str) -> int:
        """Return how many numbers in a byte buffer are infinite or NaN."""
        count: int = self._host.count_nonfinite(raw, dtype)
        return count

    def fetched(self, array: Any) -> Any:
        """Return an array as numpy's, on the host."""
        return array.cpu().numpy()

    def nonzeros(self, array: Any) -> int:
        """Return how many numbers of an array are not 0."""
        return int(self._torch.count_nonzero(array))

    def nonzeros_in(self, raw: Buffer, dtype: str) -> int:
        """Return how many numbers in a byte buffer are not 0. Runs on the CPU."""
        count: int = self._host.nonzeros_in(raw, dtype)
        return count

    def widened(self, array: Any, bits: int) -> Any:
        """Return the numbers as floats of 32 or 64 bits."""
        return array.to(self._torch.float64 if bits == 64 else self._torch.float32)

    def add_digits(self, counts: Any, array: Any, shift: int, prefix: int) -> None:
        """Add the counts of one 16-bit digit of the magnitudes; see the numpy backend."""
        width = array.dtype.itemsize
        keys = array.abs().view(self._torch.int64 if width == 8 else self._torch.int32)
        chosen = keys if shift + 16 == width * 8 else keys[(keys >> (shift + 16)) == prefix]
        counts += self._torch.bincount((chosen >> shift) & 0xFFFF, minlength=2**16).cpu().numpy()

    def matching(self, array: Any, shift: int, prefix: int) -> Any:
        """Return the magnitudes whose bits from ``shift`` upwards equal the prefix."""
        magnitudes = array.abs()
        keys = magnitudes.view(self._torch.int64 if array.dtype.itemsize == 8 else self._torch.int32)
        return magnitudes[keys >> shift == prefix].cpu().numpy()

    def count_equal(self, array: Any, value: float) -> int:
        """Count the magnitudes that equal a value."""
        return int((array.abs() == value).sum())

    def count_above(self, array: Any, value: float) -> int:
        """Count the magnitudes above a value."""
        return int((array.abs() > value).sum())

    def least_of_largest(self, array: Any, count: int) -> float:
        """Return the smallest of the ``count`` largest magnitudes."""
        return float(self._torch.kthvalue(array.abs(), len(array) - count + 1).values)

    def keep(self, array: Any, comparison: str, bound: float) -> None:
        """Multiply the magnitudes that do not compare so with a bound by 0, in place."""
        array *= COMPARISONS[comparison](array.abs(), bound)

    def agreeing_sum(self, arrays: Sequence[Any], weights: Sequence[float], *, normalize: bool) -> Any:
        """Return the sum of what agrees in sign; the arrays are overwritten."""
        return agreeing_sum(arrays, weights, self.xp, normalize=normalize)

    def inner(self, first: Any, second: Any) -> float:
        """Return the inner product in float64."""
        return float((first.to(self._torch.float64) * second).sum())

    def total(self, array: Any) -> float:
        """Return the sum in float64; of a mask, the number of entries that are set."""
        return float(array.sum(dtype=self._torch.float64))

    def uniform(self, key: int, first: int, count: int) -> Any:
        """Return float32 numbers in [0, 1), drawn on the CPU so that they are the same on every device."""
        from .random_bits import random_floats

        return self._torch.from_numpy(random_floats(key, first, count)).to(self._device)

    def row_ranks(self, array: Any) -> Any:
        """Return ranks by magnitude within rows, the later first among equals."""
        torch = self._torch
        length = array.shape[1]
        order = length - 1 - torch.argsort(array.abs().flip(1), dim=1, stable=True)
        ascending = torch.arange(length, dtype=array.dtype, device=array.device).expand_as(array)
        return torch.empty_like(array).scatter_(1, order, ascending)

    def keep_first(self, mask: Any, equal: Any, quota: int) -> None:
        """Set in the mask the first ``quota`` places where ``equal`` is true."""
        mask[equal.nonzero()[:quota, 0]] = True
