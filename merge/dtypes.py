"""The element types of the safetensors format: size, kind, and how each array library names them.

Only the table lives here; numpy, ml_dtypes and torch are imported by the functions that need them, so that
headers can be read and planned without any of the three.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, NamedTuple

from .errors import UsageError, suggest

Kind = Literal["float", "integer", "bool", "opaque"]


class DType(NamedTuple):
    """One element type.

    Attributes:
        bits: Width of one element.
        kind: ``float`` merges; ``integer`` and ``bool`` are copied; ``opaque`` (complex, block scales and
            floats narrower than 8 bits) is copied bit for bit, since no arithmetic on it is defined here.
        array: Name in numpy or ml_dtypes, if there is one.
        torch: Name in torch, if there is one.
        infinity: Bits of infinity (or of the first NaN) with the sign cleared: every pattern from here on
            is not finite. None where that is no contiguous range.
    """

    bits: int
    kind: Kind
    array: str | None
    torch: str | None
    infinity: int | None = None


DTYPES: dict[str, DType] = {
    "F64": DType(64, "float", "float64", "float64", 0x7FF0_0000_0000_0000),
    "F32": DType(32, "float", "float32", "float32", 0x7F80_0000),
    "F16": DType(16, "float", "float16", "float16", 0x7C00),
    "BF16": DType(16, "float", "bfloat16", "bfloat16", 0x7F80),
    "F8_E5M2": DType(8, "float", "float8_e5m2", "float8_e5m2", 0x7C),
    "F8_E4M3": DType(8, "float", "float8_e4m3fn", "float8_e4m3fn", 0x7F),
    "F8_E5M2FNUZ": DType(8, "float", "float8_e5m2fnuz", "float8_e5m2fnuz"),
    "F8_E4M3FNUZ": DType(8, "float", "float8_e4m3fnuz", "float8_e4m3fnuz"),
    "F8_E8M0": DType(8, "opaque", None, "float8_e8m0fnu"),
    "F6_E3M2": DType(6, "opaque", None, None),
    "F6_E2M3": DType(6, "opaque", None, None),
    "F4": DType(4, "opaque", None, "float4_e2m1fn_x2"),
    "C64": DType(64, "opaque", "complex64", "complex64"),
    "I64": DType(64, "integer", "int64", "int64"),
    "U64": DType(64, "integer", "uint64", "uint64"),
    "I32": DType(32, "integer", "int32", "int32"),
    "U32": DType(32, "integer", "uint32", "uint32"),
    "I16": DType(16, "integer", "int16", "int16"),
    "U16": DType(16, "integer", "uint16", "uint16"),
    "I8": DType(8, "integer", "int8", "int8"),
    "U8": DType(8, "integer", "uint8", "uint8"),
    "BOOL": DType(8, "bool", "bool", "bool"),
}

_ALIASES = {"bf16": "BF16", "fp16": "F16", "fp32": "F32", "fp64": "F64", "half": "F16", "float": "F32", "double": "F64"}
_BY_NAME = (
    {dtype.torch: code for code, dtype in DTYPES.items() if dtype.torch and dtype.kind == "float"}
    | {code.lower(): code for code, dtype in DTYPES.items() if dtype.kind == "float"}
    | _ALIASES
)


def float_names() -> list[str]:
    """Return the names of the floating types that can be asked for, as torch names them."""
    return sorted({dtype.torch for dtype in DTYPES.values() if dtype.torch and dtype.kind == "float"})


def parse_dtype(text: str, *, where: str | None = None) -> str:
    """Turn what a user writes (``bfloat16``, ``bf16``, ``torch.bfloat16``, ``BF16``) into a format code.

    Raises:
        UsageError: For a name that is no floating type of the format.
    """
    code = _BY_NAME.get(text.strip().removeprefix("torch.").lower())
    if code is None:
        hint = suggest(text, _BY_NAME) or f"one of {', '.join(float_names())}"
        raise UsageError(f"unknown dtype '{text}'", where=where, hint=hint)
    return code


@cache
def accumulator(codes: tuple[str, ...]) -> str:
    """Return the type in which tensors of these types are summed: F32 up to 16 bits, F64 above."""
    return "F64" if any(DTYPES[code].bits > 16 for code in codes) else "F32"


@cache
def numpy_dtype(code: str) -> Any:
    """Return the numpy dtype of a format code (from ml_dtypes where numpy has none)."""
    import numpy  # isort: skip - threads must meet at numpy first: ml_dtypes alone enters it from the middle
    import ml_dtypes

    name = DTYPES[code].array
    return numpy.dtype(getattr(numpy, name, None) or getattr(ml_dtypes, name)) if name else numpy.dtype("u1")


@cache
def torch_dtype(code: str) -> Any:
    """Return the torch dtype of a format code, or None where torch has none."""
    import torch

    name = DTYPES[code].torch
    return getattr(torch, name) if name else None
