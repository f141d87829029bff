"""The same arithmetic on torch, for ``--device cuda``.

Every worker owns pinned buffers and a stream, so that one worker's transfers overlap another's arithmetic: with
two workers, that is a double buffer. Multiply and add stay separate kernels, so results equal the CPU's bit for
bit for elementwise methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..arithmetic.consensus import agreeing_sum
from ..checkpoints.files import Buffer
from ..dtypes import torch_dtype
from .ranks import COMPARISONS
from .rounding import single_rounding

BLOCK_ELEMENTS = 2**22  # a whole piece: transfers and kernels are cheap only when they are large


class TorchBackend:
    """One worker's buffers, stream and conversions.

    Args:
        device: A torch device name: ``cuda``, ``cuda:1`` or ``cpu``.
    """

    def __init__(self, device: str) -> None:
        import torch
        from array_api_compat import torch as namespace

        self.xp, self._torch = namespace, torch
        self._device = torch.device(device)
        self._cuda = self._device.type == "cuda"
        self._stream: Any = torch.cuda.Stream(self._device) if self._cuda else None  # type: ignore[no-untyped-call]
        self.block_elements = BLOCK_ELEMENTS
        self.weighted_sum = None  # a GPU's own kernels hide behind the transfers
        self._raw: dict[object, Any] = {}

    def raw(self, key: object, nbytes: int) -> Buffer:
        """Return the byte buffer of this key with this length, in pinned memory where transfers profit from it."""
        buffer = self._raw.get(key)
        if buffer is None or len(buffer) < nbytes:
            buffer = self._raw[key] = self._torch.empty(nbytes, dtype=self._torch.uint8, pin_memory=self._cuda)
        return memoryview(buffer.numpy().data)[:nbytes]

    def begin(self) -> None:
        """Start a chunk; what was sent from the buffers before has arrived, since `store` waits for it."""
        if self._stream is not None:
            self._torch.cuda.set_stream(self._stream)

    def load(self, raw: Buffer, dtype: str, accumulator: str, base: Any = None) -> Any:
        """Send a byte buffer to the device and return its numbers in the accumulator's type, less a base."""
        values = self._torch.frombuffer(raw, dtype=torch_dtype(dtype))
        sent = values.to(self._device, non_blocking=True) if self._cuda else values
        numbers = sent.to(torch_dtype(accumulator), copy=True)
        if base is not None:
            numbers -= base
        return numbers

    def load_alone(self, raw: Buffer, dtype: str) -> Any:
        """Return numbers in float64, on the device; the buffer may be used again at once."""
        return self._torch.frombuffer(raw, dtype=torch_dtype(dtype)).to(self._device, self._torch.float64, copy=True)

    def store(self, array: Any, dtype: str, raw: Buffer) -> None:
        """Round once to the output's type, to nearest even, fetch the bytes into a buffer and wait for them."""
        target = torch_dtype(dtype)
        if array.dtype == self._torch.float64 and target.itemsize < 4:
            array = single_rounding(array, self._torch)  # torch rounds by way of float32
        rounded = array.to(target).view(self._torch.uint8)
        self._torch.frombuffer(raw, dtype=self._torch.uint8).copy_(rounded, non_blocking=self._cuda)
        if self._stream is not None:
            self._stream.synchronize()

    def first_nonfinite(self, raw: Buffer, dtype: str) -> int | None:
        """Return the position of the first infinity or NaN in a byte buffer, or None. Runs on the CPU."""
        if not len(raw):
            return None
        values = self._torch.frombuffer(raw, dtype=torch_dtype(dtype))
        values = values if values.dtype.itemsize > 1 else values.to(self._torch.float32)
        bad = (~self._torch.isfinite(values)).nonzero()
        return int(bad[0]) if len(bad) else None

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


def check_device(device: str) -> None:
    """Refuse a device that this machine or this torch does not have.

    Raises:
        UsageError: Saying which devices there are.
    """
    import torch

    from ..errors import UsageError

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        count = torch.cuda.device_count()
        hint = f"{count} CUDA devices are visible" if count else "no CUDA device is visible; leave --device out"
        raise UsageError(f"the device '{device}' cannot be used: {str(error).splitlines()[0]}", hint=hint) from None
