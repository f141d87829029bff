"""Bytes as a file, which clients send piece by piece where they would make copies of an array."""

from __future__ import annotations

import io


class Body(io.RawIOBase):
    """Bytes that are read without being copied as a whole.

    Args:
        data: The bytes.
    """

    def __init__(self, data: bytes | bytearray) -> None:
        super().__init__()
        self._data, self._position = memoryview(data), 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read anew."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._data)}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer; return how many bytes there were."""
        found = self._data[self._position : self._position + len(buffer)]
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)
