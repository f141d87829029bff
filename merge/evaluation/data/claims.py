"""What an array in a file claims to be, held against what the file holds, before memory is taken for it."""

from __future__ import annotations

import math
import tokenize
import zipfile
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from ..memory import free_memory

if TYPE_CHECKING:
    import numpy as np

NPY = ".npy"


def array_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an array in numpy's format: its shape, whether it is in columns, and its type.

    Raises:
        ValueError: It is no such array.
    """
    import numpy as np

    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        return read(stream)
    except (ValueError, tokenize.TokenError, SyntaxError, RecursionError, MemoryError):  # numpy parses it as Python
        raise ValueError("its header is broken") from None


def check_member(archive: zipfile.ZipFile, key: str, *, where: str, share: int = 1) -> None:
    """Check the claim of an array in an npz file.

    Args:
        archive: The file, open.
        key: The array's name.
        where: Who wants it, for messages.
        share: How many times as much memory would be needed for the whole as for what is read.

    Raises:
        ValueError: It claims another size than it has.
        MergeError: It needs more memory than is free.
    """
    name = key if key in archive.namelist() else f"{key}{NPY}"
    with archive.open(name) as stream:
        check_claim(stream, archive.getinfo(name).file_size, f"'{key}'", where=where, share=share)


def check_claim(stream: Any, size: int, what: str, *, where: str, share: int = 1) -> None:
    """Check the claim of an array.

    Args:
        stream: At its beginning.
        size: Of the header and the array, in bytes.
        what: The array, for messages.
        where: Who wants it, for messages.
        share: How many times as much memory would be needed for the whole as for what is read.

    Raises:
        ValueError: It claims another size than it has.
        MergeError: It needs more memory than is free.
    """
    shape, _, dtype = array_header(stream)
    claimed, held = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if claimed != held and not dtype.hasobject:  # those are refused by whoever reads them
        raise ValueError(f"{what} claims {claimed:,} bytes, and there are {held:,}")
    free = free_memory()
    if free is not None and claimed // share > free:
        need = f"{what} needs {claimed / share / 1e9:.1f} GB of memory, {free / 1e9:.1f} are free"
        raise MergeError(need, where=where, hint="is it what it should be? else use a machine with more memory")
