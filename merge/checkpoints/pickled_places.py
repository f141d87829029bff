"""Where in a file of torch.save the bytes of its tensors lie.

The file is a zip archive with one uncompressed record per storage, and torch maps it as a whole. So the addresses of
the storages in memory differ from the records' offsets in the file by one number, the address of the map. That number
is found by comparing the two, and taken only where it explains every storage and there is no other.
"""

from __future__ import annotations

import struct
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import MergeError

_LOCAL_HEADER, _NAME_AND_EXTRA = 30, struct.Struct("<HH")  # of the zip format: its size; two lengths at its end


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive.

    Raises:
        MergeError: It is damaged, which may show when it is read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise MergeError(f"a damaged zip archive: {error}", where=str(path), hint="copy it again") from None


class Places(NamedTuple):
    """Offset in the file of storages by their address in memory; empty where they are not known."""

    starts: Mapping[int, int]

    def start_of(self, tensor: Any) -> int | None:
        """Return the offset of a tensor's first byte, or None where its entries do not lie side by side there."""
        if not self.starts or not tensor.is_contiguous() or tensor.is_conj() or tensor.is_neg():
            return None
        start = self.starts.get(tensor.untyped_storage().data_ptr())
        return None if start is None else start + tensor.storage_offset() * tensor.element_size()


def places_of(path: Path, tensors: Iterable[Any]) -> Places:
    """Return where the storages of tensors lie that torch mapped from a file."""
    storages = [tensor.untyped_storage() for tensor in tensors if str(tensor.layout) == "torch.strided"]
    sizes = {storage.data_ptr(): storage.nbytes() for storage in storages if storage.nbytes()}
    records = _records(path)
    if not sizes or not records or sys.byteorder != "little":
        return Places({})
    first = min(sizes)
    maps = {first - offset for offset, size in records.items() if size == sizes[first]}
    fitting = [start for start in maps if all(records.get(address - start) == size for address, size in sizes.items())]
    return Places({address: address - fitting[0] for address in sizes} if len(fitting) == 1 else {})


def _records(path: Path) -> dict[int, int]:
    """Return offset and size of every record that holds a storage; none where their bytes are in another order.

    Raises:
        MergeError: The archive is damaged.
    """
    found = {}
    with open_archive(path) as archive, path.open("rb") as stream:
        for entry in archive.infolist():
            parts = entry.filename.split("/")
            if parts[-1] == "byteorder" and archive.read(entry) != b"little":
                return {}
            if parts[-2:-1] != ["data"]:
                continue
            stream.seek(entry.header_offset + _LOCAL_HEADER - _NAME_AND_EXTRA.size)
            lengths = _NAME_AND_EXTRA.unpack(stream.read(_NAME_AND_EXTRA.size))
            found[entry.header_offset + _LOCAL_HEADER + sum(lengths)] = entry.file_size
    return found
