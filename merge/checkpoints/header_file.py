"""The header of a safetensors file on the disk, or what the file is instead."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import MergeError
from .foreign import foreign_name, foreign_start, refusal
from .header import LENGTH_BYTES, MAXIMUM_HEADER_BYTES, Header, parse_header

_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_FOREIGN = {
    b"PK\x03\x04": "a zip archive, probably a PyTorch pickle",
    b"\x80\x02": "a Python pickle",
    b"\x80\x03": "a Python pickle",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
}
_CONVERT = "convert it to safetensors where you trust it; nothing of it was loaded or executed"


def read_header(path: Path, *, file: int = 0) -> Header:
    """Read and validate the header of one file.

    Raises:
        MergeError: When it is no sound safetensors file.
    """
    where = str(path)
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            start = stream.read(LENGTH_BYTES + 1)
            length = header_length(start, size, where)
            stream.seek(LENGTH_BYTES)
            raw = stream.read(length)
    except OSError as error:
        raise MergeError(f"cannot read it: {error.strerror}", where=where) from None
    return parse_header(raw, file_size=size, where=where, file=file)


def header_length(start: bytes, size: int, where: str) -> int:
    """Return the length of the JSON in a file's header, by the file's first 9 bytes and its size.

    Raises:
        MergeError: It is no safetensors file, or a damaged one.
    """
    if not size:
        raise MergeError("the file is empty", where=where)
    for magic, kind in _FOREIGN.items():
        if start.startswith(magic) and start[LENGTH_BYTES:] != b"{":
            raise MergeError(f"this is {kind}, not a safetensors file", where=where, hint=_CONVERT)
    if start[LENGTH_BYTES:] != b"{" and (other := foreign_start(start) or foreign_name(where)):
        raise refusal(other, where)
    if size <= LENGTH_BYTES or start[LENGTH_BYTES:] != b"{":
        raise MergeError("not a safetensors file", where=where)
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if length > MAXIMUM_HEADER_BYTES:
        raise MergeError(f"its header claims {length:,} bytes; the format allows 100 MB", where=where)
    if length > size - LENGTH_BYTES:
        raise MergeError(
            f"its header claims {length:,} bytes, but the file has {size:,}", where=where, hint="truncated or damaged"
        )
    return length


def is_pickle(path: Path) -> bool:
    """Tell from its first bytes whether a file is a pickle, or a zip archive as torch.save writes.

    Raises:
        MergeError: When it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(LENGTH_BYTES + 1)
    except OSError as error:
        raise MergeError(f"cannot read it: {error.strerror}", where=str(path)) from None
    return start.startswith(_PICKLES) and start[LENGTH_BYTES:] != b"{"
