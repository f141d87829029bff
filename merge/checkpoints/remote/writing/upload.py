"""One file on its way into a bucket, in parts, the first of which is kept back: its header is known at the end."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import NamedTuple

from ...files import Buffer
from .bucket import Bucket
from .parts import FullPart, Parts
from .shelf import Shelf


class HandedUpload(NamedTuple):
    """A file that another process has uploaded, but for its first part.

    Attributes:
        file: Its position among the output's files.
        upload: The id of the upload; None where the first part is all.
        tags: Of the parts that were sent, by their numbers.
        first: The first part, its header not final.
    """

    file: int
    upload: str | None
    tags: dict[int, str]
    first: bytes


@dataclass(frozen=True)
class Sent:
    """A file all of whose parts the store has.

    Attributes:
        size: In bytes.
    """

    key: str
    upload: str
    tags: dict[int, str]
    size: int


class Upload:
    """The upload of one file, begun when its first part is to be sent.

    Args:
        bucket: Where to.
        key: Of the object.
        size: In bytes.
        shelf: Where memory for parts comes from.
    """

    def __init__(self, bucket: Bucket, key: str, size: int, shelf: Shelf) -> None:
        self.key, self.size = key, size
        self.parts = Parts(size, shelf)
        self.id: str | None = None
        self.tags: dict[int, str] = {}
        self.has_first = False
        self._bucket = bucket
        self._lock = threading.Lock()

    def fill(self, offset: int, buffer: Buffer) -> list[FullPart]:
        """Take bytes; return the parts that they complete."""
        return self.parts.fill(offset, buffer)

    def send(self, number: int, data: bytes | bytearray) -> None:
        """Send a part."""
        with self._lock:
            if self.id is None:
                self.id = self._bucket.begin(self.key)
        self.tags[number] = self._bucket.add(self.key, self.id, number, data)

    @property
    def is_whole(self) -> bool:
        """Whether all parts but the first were sent, and the first is there."""
        return self.has_first and len(self.tags.keys() - {1}) == self.parts.count - 1

    def take(self, handed: HandedUpload) -> None:
        """Take over what another process has sent; what was there is given up."""
        self.abort(self._bucket)
        self.id, self.tags, self.has_first = handed.upload, dict(handed.tags), True

    def sent(self) -> Sent:
        """Return the file, all of whose parts the store has."""
        assert self.id is not None  # noqa: S101 - the first part was sent last
        return Sent(self.key, self.id, self.tags, self.size)

    def abort(self, bucket: Bucket) -> None:
        """Give the upload up."""
        if self.id is not None:
            bucket.abort(self.key, self.id)
            self.id = None
