"""The output's tensors on their way into a bucket, uploaded in parts while they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ....errors import MergeError
from ....planning.layout import OutputFile
from ....planning.rows import Row
from ...files import Buffer
from ...header import render_header
from ...writer import rendered_headers
from .bucket import Bucket
from .first_parts import FirstParts
from .parts import FullPart
from .shelf import Shelf
from .upload import HandedUpload, Sent, Upload
from .uploader import Uploader

if TYPE_CHECKING:
    from ....plan import Plan


class ObjectSink:
    """The output's safetensors files as objects that nobody sees before they are completed.

    Args:
        bucket: Where to.
        keys: Of the files.
        files: The files and their tensors.
        metadata: Metadata of the same rendered length as the final one.
    """

    whole_files = True

    def __init__(
        self, bucket: Bucket, keys: Sequence[str], files: Sequence[OutputFile], metadata: dict[str, str]
    ) -> None:
        self._bucket, self._keys, self._metadata = bucket.apart(), list(keys), metadata
        self._entries, headers = rendered_headers(files, metadata)
        self._starts = [len(header) for header in headers]
        sizes = [start + file.nbytes for start, file in zip(self._starts, files, strict=True)]
        self._headers: dict[int, bytes] = dict(enumerate(headers))  # of files that no byte was written to
        self._shelf = Shelf()
        self._uploads = [Upload(self._bucket, key, size, self._shelf) for key, size in zip(keys, sizes, strict=True)]
        self._firsts = FirstParts([upload.parts.first for upload in self._uploads])
        self._uploader = Uploader()

    def write(self, row: Row, offset: int, buffer: Buffer) -> None:
        """Take bytes of a row; waits while parts that are full cannot be sent fast enough.

        Raises:
            MergeError: A part could not be sent.
        """
        self._begin(row.file)
        self._fill(row.file, self._starts[row.file] + row.begin + offset, buffer)

    def _begin(self, number: int) -> None:
        """Let a file begin with its header, whose final text has the same length."""
        header = self._headers.pop(number, None)
        if header is not None:
            self._fill(number, 0, memoryview(header))

    def _fill(self, number: int, offset: int, buffer: Buffer) -> None:
        upload = self._uploads[number]
        for part in upload.fill(offset, buffer):
            if part.number == 1:
                self._firsts.keep(number, part.data)
                self._shelf.give(part.data)
                upload.has_first = True
            else:
                self._uploader.submit(partial(self._send, upload, part))

    def _send(self, upload: Upload, part: FullPart) -> None:
        upload.send(part.number, part.data)
        self._shelf.give(part.data)

    def finish(self, metadata: dict[str, str], *, sync: bool) -> None:
        """Send the first part of every file, with the final metadata in its header.

        Raises:
            MergeError: A part could not be sent.
        """
        for number in list(self._headers):
            self._begin(number)
        self._uploader.drain()
        for number, upload in enumerate(self._uploads):
            assert upload.is_whole, "every byte is written once"  # noqa: S101 - a broken promise of ours, no input
            self._uploader.submit(partial(upload.send, 1, self._first(number, metadata)))
        self._uploader.drain()

    def _first(self, number: int, metadata: dict[str, str]) -> bytearray:
        before, header = (render_header(self._entries[number], found) for found in (self._metadata, metadata))
        first = self._firsts.of(number)
        length = min(len(first), len(header))
        same = len(header) == len(before) and header[length:] == before[length:]
        assert same, "ids have a fixed width and stand in front"  # noqa: S101 - a broken promise of ours, no input
        first[:length] = header[:length]
        return first

    def sent(self) -> list[Sent]:
        """Return the files, all of whose parts the store has."""
        return [upload.sent() for upload in self._uploads]

    def elsewhere(self) -> ObjectSinkOpener:
        """Return what opens this output in another process."""
        return ObjectSinkOpener(self._bucket.address(self._bucket.key), tuple(self._keys), self._metadata)

    def hand_over(self) -> list[HandedUpload]:
        """Return the files that were filled since the last call.

        Raises:
            MergeError: A part could not be sent.
        """
        self._uploader.drain()
        whole = [number for number, upload in enumerate(self._uploads) if upload.is_whole]
        found = []
        for number in whole:
            upload = self._uploads[number]
            found.append(HandedUpload(number, upload.id, upload.tags, bytes(self._firsts.of(number))))
            self._uploads[number] = Upload(self._bucket, upload.key, upload.size, self._shelf)
        return found

    def take(self, handed: list[HandedUpload]) -> None:
        """Take files that another process has filled; of one that comes twice, the former upload is given up."""
        for one in handed:
            self._headers.pop(one.file, None)
            self._firsts.keep(one.file, one.first)
            self._uploads[one.file].take(one)

    def close(self) -> None:
        """Let the threads end. What was uploaded stays, unseen, until it is completed or given up."""
        self._bucket.stop.set()
        self._uploader.close()
        self._firsts.close()

    def abandon(self, bucket: Bucket) -> None:
        """Give up every upload.

        Raises:
            MergeError: The store cannot be reached.
        """
        for upload in self._uploads:
            upload.abort(bucket)


class HelpingSink(ObjectSink):
    """The output's files in a process that helps to fill them."""

    def close(self) -> None:
        """Let the threads end, and give up what was not handed over."""
        super().close()
        with suppress(MergeError):  # else the first process finds them
            self.abandon(self._bucket.apart())


@dataclass(frozen=True)
class ObjectSinkOpener:
    """Opens an output in a bucket in another process.

    Args:
        location: An address in the bucket.
        keys: Of the output's files.
        metadata: Of the rendered length of the final metadata.
    """

    location: str
    keys: tuple[str, ...]
    metadata: dict[str, str]

    def __call__(self, plan: Plan) -> HelpingSink:
        """Open it."""
        return HelpingSink(Bucket(self.location), self.keys, plan.files, self.metadata)
