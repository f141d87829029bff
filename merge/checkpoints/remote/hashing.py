"""Hashes of whole files while their parts arrive in any order: what comes too early waits on the disk."""

from __future__ import annotations

import threading
from bisect import insort

from ...errors import MergeError
from ..files import Buffer
from .checksums import SHA256, Stated, hasher
from .file import RemoteFile
from .spool import Spool

_BLOCK = 2**22  # bytes that are read at once of what nobody has read


class FileHash:
    """The hash of one file, of which parts are shown to it as they are read. Any thread may show a part.

    Args:
        file: The file.
        size: Its size in bytes.
        stated: The checksum that its store states.
    """

    def __init__(self, file: RemoteFile, size: int, stated: Stated | None) -> None:
        self._file, self._size, self._stated = file, size, stated
        wanted = dict.fromkeys([SHA256, *([stated.algorithm] if stated else [])])
        self._hashers = {name: found for name in wanted if (found := hasher(name)) is not None}
        self._position = 0
        self._spool, self._waiting = Spool(), list[tuple[int, int]]()  # start and length of what waits
        self._lock = threading.Lock()

    def show(self, start: int, data: Buffer) -> None:
        """Take the bytes of the file from this offset on."""
        with self._lock:
            if start != self._position:
                self._keep(start, data)
                return
            self._add(data)
            self._add_waiting()

    def _keep(self, start: int, data: Buffer) -> None:
        if start < self._position or any(start == known for known, _ in self._waiting):  # it was read again
            return
        self._spool.put(start, data)
        if start in self._spool:  # else there is no room, and it is read again at the end
            insort(self._waiting, (start, len(data)))

    def _add(self, data: Buffer) -> None:
        for each in self._hashers.values():
            each.update(data)
        self._position += len(data)

    def _add_waiting(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._position:
            start, length = self._waiting.pop(0)
            skipped = self._position - start
            for offset in range(skipped, length, _BLOCK):
                data = memoryview(bytearray(min(_BLOCK, length - offset)))
                self._spool.read_into(start, offset, data)
                self._add(data)
            self._spool.forget(start)

    def begin(self, count: int) -> None:
        """Read the first bytes, which nobody reads any more, so that what follows need not wait for them."""
        data = memoryview(bytearray(count))
        self._file.read_into(0, data)
        self.show(0, data)

    def finish(self) -> str:
        """Read what nobody has read, and return the sha256 in hexadecimal digits.

        Raises:
            MergeError: It cannot be read, or its store states another checksum.
        """
        with self._lock:
            self._add_waiting()
            while self._position < self._size:
                stop = self._waiting[0][0] if self._waiting else self._size
                data = memoryview(bytearray(min(_BLOCK, stop - self._position)))
                self._file.read_into(self._position, data)
                self._add(data)
                self._add_waiting()
        self.close()
        self._compare()
        return self._hashers[SHA256].hexdigest()

    def _compare(self) -> None:
        known = self._hashers.get(self._stated.algorithm) if self._stated else None
        if self._stated is not None and known is not None and known.hexdigest() != self._stated.value:
            name, hint = self._stated.algorithm, "what arrived is not what the store holds: run it again"
            what = f"its {name} is {known.hexdigest()}, and its store states {self._stated.value}"
            raise MergeError(what, where=self._file.where, hint=hint)

    def close(self) -> None:
        """Give the disk back."""
        self._spool.close()
