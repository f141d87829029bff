"""The headers of safetensors files elsewhere, several at once, mostly by one request each."""

from __future__ import annotations

from collections.abc import Sequence

from ..files import Buffer
from ..header import LENGTH_BYTES, Header, parse_header
from ..header_file import header_length
from .file import RemoteFile
from .requests import map_side_by_side

GUESS_BYTES = 2**16  # holds the header of most files


class Opened:
    """A file whose header is known. What came with the header is not asked for again.

    Attributes:
        file: The file.
        header: Its header.
        size: Of the whole file, in bytes.
        offset: Where its tensors begin.
    """

    def __init__(self, file: RemoteFile, header: Header, size: int, known: bytes, offset: int) -> None:
        self.file, self.header, self.size = file, header, size
        self._known, self.offset = known, offset

    def read_into(self, start: int, buffer: Buffer) -> None:
        """Fill the buffer from this offset.

        Raises:
            MergeError: It cannot be read.
        """
        begin = start - self.offset
        count = max(0, min(len(buffer), len(self._known) - begin)) if begin >= 0 else 0
        buffer[:count] = self._known[begin : begin + count]
        if count < len(buffer):
            self.file.read_into(start + count, buffer[count:])


def open_headers(files: Sequence[RemoteFile]) -> list[Opened]:
    """Read the headers of files.

    Raises:
        MergeError: A file cannot be read, or is no sound safetensors file.
    """
    return map_side_by_side(lambda item: open_header(item[1], item[0]), list(enumerate(files)))


def open_header(file: RemoteFile, number: int = 0) -> Opened:
    """Read the header of one file.

    Args:
        file: The file.
        number: Its index within the checkpoint.

    Raises:
        MergeError: It cannot be read, or is no sound safetensors file.
    """
    data, size = file.start(GUESS_BYTES)
    end = LENGTH_BYTES + header_length(data[: LENGTH_BYTES + 1], size, file.where)
    if end > len(data):
        rest = bytearray(end - len(data))
        file.read_into(len(data), memoryview(rest))
        data += bytes(rest)
    header = parse_header(data[LENGTH_BYTES:end], file_size=size, where=file.where, file=number)
    return Opened(file, header, size, data[end:], end)
