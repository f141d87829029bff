"""The header of a safetensors file: parse it, distrust it, write it.

Layout of the format: 8 bytes little-endian header length, a JSON object, then the data. Offsets in the JSON
count from the start of the data. Nothing here reads a byte of weights, and nothing here needs numpy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from ..dtypes import DTYPES
from ..errors import MergeError

LENGTH_BYTES = 8
MAXIMUM_HEADER_BYTES = 100_000_000  # the format's own limit
DATA_ALIGNMENT = 4096  # so that data pages map, and file systems can share extents

_BITS: dict[str, int] = {code: dtype.bits for code, dtype in DTYPES.items()}


class TensorInfo(NamedTuple):
    """One tensor of a checkpoint: what it is and where its bytes lie.

    Attributes:
        file: Index of the file within its checkpoint.
        start: Offset of the first byte, counted from the start of that file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: int
    start: int
    nbytes: int

    @property
    def elements(self) -> int:
        """Number of elements (bytes for types narrower than a byte)."""
        return self.nbytes * 8 // max(_BITS[self.dtype], 8)


class Header(NamedTuple):
    """The tensors of one file in the order of their data, and the file's metadata."""

    tensors: list[TensorInfo]
    metadata: dict[str, str]


def parse_header(raw: bytes, *, file_size: int, where: str, file: int = 0) -> Header:
    """Parse and validate the JSON of a header.

    Args:
        raw: The JSON bytes, without the length in front.
        file_size: Size of the whole file in bytes; the tensors must fill it exactly.
        where: The file's name for messages.
        file: Index of the file within its checkpoint, kept in every tensor.

    Raises:
        MergeError: Whatever is wrong, naming file and tensor.
    """
    entries = _load_json(raw, where)
    metadata = _metadata(entries.pop("__metadata__", {}), where)
    tensors = _entries(entries, LENGTH_BYTES + len(raw), file, where)
    tensors.sort(key=lambda tensor: (tensor.start, tensor.nbytes))
    _check_layout(tensors, LENGTH_BYTES + len(raw), file_size, where)
    return Header(tensors, metadata)


def _load_json(raw: bytes, where: str) -> dict[str, Any]:
    try:
        entries = json.loads(raw.decode())  # json alone would take UTF-16 and halves of characters, too
    except (ValueError, RecursionError) as error:
        raise MergeError(f"not a safetensors file: its header is no JSON ({error})", where=where) from None
    if not isinstance(entries, dict):
        raise MergeError("not a safetensors file: its header is no JSON object", where=where)
    # json keeps the last of two equal keys. Counting the offsets finds them at no cost; an escaped character
    # could hide one from the count, so then (and only then) the slow way is taken.
    tensors = len(entries) - ("__metadata__" in entries)
    if b"\\u" in raw or raw.count(b'"data_offsets"') != tensors or raw.count(b'"__metadata__"') > 1:
        json.loads(raw, object_pairs_hook=lambda pairs: _no_duplicates(pairs, where))
    return entries


def _no_duplicates(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    found = {}
    for name, value in pairs:
        if name in found:
            raise MergeError(f"the header names '{name}' twice", where=where, hint="the file is damaged; save it anew")
        for text in (name, value):
            if isinstance(text, str) and any("\ud800" <= character <= "\udfff" for character in text):
                raise MergeError(f"the header's {text!r} is no valid text", where=where, hint="the file is damaged")
        found[name] = value
    return found


def _metadata(found: Any, where: str) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise MergeError("the header's __metadata__ is no map of strings", where=where)
    return found


def _entries(entries: dict[str, Any], base: int, file: int, where: str) -> list[TensorInfo]:
    """Check every entry. One plain loop, since a checkpoint may hold a hundred thousand of them."""
    tensors = []
    for name, entry in entries.items():
        try:
            dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
            bits = _BITS[dtype]
            for size in shape:
                if type(size) is not int:  # not isinstance, since True is an int as well
                    raise TypeError
                bits *= size
            sound = type(bits) is type(begin) is type(end) is int and bits == (end - begin) * 8 and type(shape) is list
            if not sound or begin < 0 or (shape and min(shape) < 0):
                raise _bad_entry(name, entry, where)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise _bad_entry(name, entry, where) from None
        tensors.append(TensorInfo(name, dtype, tuple(shape), file, base + begin, end - begin))
    return tensors


def _bad_entry(name: str, entry: Any, where: str) -> MergeError:
    dtype = entry.get("dtype") if isinstance(entry, dict) else None
    if isinstance(dtype, str) and dtype not in DTYPES:
        return MergeError(f"tensor '{name}' has the unknown dtype '{dtype}'", where=where, hint="update this tool")
    text = json.dumps(entry)[:200]
    return MergeError(f"tensor '{name}' has an impossible header entry {text}", where=where, hint="the file is damaged")


def _check_layout(tensors: list[TensorInfo], base: int, file_size: int, where: str) -> None:
    """The data must be a gapless sequence that ends where the file ends: no overlap, no hidden bytes."""
    position = base
    for tensor in tensors:
        if tensor.start != position:
            kind = "overlaps another tensor" if tensor.start < position else "leaves a gap in front of it"
            raise MergeError(f"tensor '{tensor.name}' {kind}", where=where, hint="the file is damaged")
        position += tensor.nbytes
    if position > file_size:
        missing = position - file_size
        raise MergeError(f"the file is truncated: {missing:,} bytes are missing", where=where, hint="copy it again")
    if position < file_size:
        raise MergeError(
            f"{file_size - position:,} bytes follow the last tensor", where=where, hint="the file is damaged"
        )


def render_entries(tensors: Iterable[tuple[str, str, tuple[int, ...], int, int]]) -> bytes:
    """Render the JSON members of tensors given as name, dtype, shape, first byte, last byte + 1 (within the data)."""
    return ",".join(
        f'{encode_basestring(name)}:{{"dtype":"{dtype}","shape":[{",".join(map(str, shape))}],'
        f'"data_offsets":[{begin},{end}]}}'
        for name, dtype, shape, begin, end in tensors
    ).encode()


def render_header(entries: bytes, metadata: dict[str, str]) -> bytes:
    """Render length and JSON, padded with spaces so that the data begin at a multiple of 4096.

    Args:
        entries: What `render_entries` made, kept apart so that metadata can change without rendering it again.
        metadata: The file's metadata, in the order in which it is written.

    Raises:
        MergeError: When the header would exceed the format's limit.
    """
    front = json.dumps({"__metadata__": metadata}, separators=(",", ":"), ensure_ascii=False).encode()
    text = front[:-1] + (b"," if entries else b"") + entries + b"}"
    padding = -(LENGTH_BYTES + len(text)) % DATA_ALIGNMENT
    if len(text) + padding > MAXIMUM_HEADER_BYTES:
        raise MergeError("the output's header would exceed the format's 100 MB", hint="lower --max-shard-size")
    return (len(text) + padding).to_bytes(LENGTH_BYTES, "little") + text + b" " * padding
