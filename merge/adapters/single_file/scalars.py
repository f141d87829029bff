"""Numbers that lie in a file of their own accord, such as alpha; read without numpy, since planning needs them."""

from __future__ import annotations

import math
import struct
from math import prod

from ...checkpoints.checkpoint import FileCheckpoint
from ...checkpoints.header import TensorInfo
from ...errors import MergeError

_FORMATS = {"F64": "<d", "F32": "<f", "F16": "<e", "I64": "<q", "I32": "<i", "I16": "<h", "I8": "<b", "U8": "<B"}


def read_number(tensor: TensorInfo, source: FileCheckpoint, where: str) -> float:
    """Return the one number that a tensor holds.

    Raises:
        MergeError: It holds several, is of a type that is no number, or not finite.
    """
    if prod(tensor.shape) != 1 or tensor.dtype not in {*_FORMATS, "BF16"}:
        what = f"'{tensor.name}' is {tensor.dtype} of shape {list(tensor.shape)} in place of one number"
        raise MergeError(what, where=where)
    raw = bytearray(tensor.nbytes)
    source.read_into(tensor, 0, memoryview(raw))
    number = _parse(bytes(raw), tensor.dtype)
    if not math.isfinite(number):
        raise MergeError(f"'{tensor.name}' is {number}, which is no scale", where=where, hint="train or save it anew")
    return number


def _parse(raw: bytes, dtype: str) -> float:
    if dtype == "BF16":  # the upper half of a float32
        raw, dtype = b"\0\0" + raw, "F32"
    return float(struct.unpack(_FORMATS[dtype], raw)[0])
