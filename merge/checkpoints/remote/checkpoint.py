"""A checkpoint elsewhere, read by ranges of bytes straight into the engine's buffers; nothing is kept on the disk."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ..checkpoint import FileCheckpoint, read_json_object
from ..companions import is_companion
from ..files import Buffer
from ..header import TensorInfo
from ..links import link_of, transfer_meter
from .buffers import Buffers
from .checksums import Stated
from .hashing import FileHash
from .headers import Opened
from .requests import map_side_by_side
from .segments import Course, Segment
from .shown import shown
from .store import Store
from .window import AHEAD, Window

CONFIG = "config.json"
MEMORY_BYTES = 64 * 2**20  # for what is on its way, over all checkpoints that are open
SMALLEST_REQUEST, LARGEST_REQUEST = 2**20, 8 * 2**20
_MOST_WORKERS = 8
_open: weakref.WeakSet[RemoteCheckpoint] = weakref.WeakSet()
_buffers = Buffers()


class RemoteCheckpoint(FileCheckpoint):
    """A checkpoint in safetensors files elsewhere.

    Attributes:
        origin: What the card names in place of the location.

    Args:
        location: What the user wrote.
        store: The folder that the files lie in; None for a bare file.
        opened: The files, their headers read.
        tensors: Those that belong to the checkpoint.
        weights_name: Name that a single-file output in a folder should have.
        notes: What a reader should know.
        stated: Asks for checksums of files by their names.
    """

    def __init__(
        self,
        location: str,
        store: Store | None,
        opened: Sequence[Opened],
        tensors: Mapping[str, TensorInfo],
        *,
        weights_name: str = "model.safetensors",
        notes: Sequence[str] = (),
        origin: str | None = None,
        stated: Callable[[Sequence[str]], Mapping[str, Stated]] = lambda names: {},
    ) -> None:
        metadata = opened[0].header.metadata if opened else {}
        super().__init__(location, [], tensors, metadata, weights_name=weights_name, notes=list(notes))
        del self.folder  # of the class above; here it is known when it is first asked for
        self.identities = [each.file.identity() for each in opened]
        self.origin = origin
        self._store, self._opened, self._stated = store, opened, stated
        self._hashes: list[FileHash] = []  # of the files, where they are wanted
        self._expected: Sequence[TensorInfo] | None = None
        self._again = False
        self._making = threading.Lock()
        self._made: Window | None = None
        _open.add(self)

    @cached_property
    def folder(self) -> Path | None:  # type: ignore[override]
        """A folder here with config, tokenizer and the like, which are brought when they are first asked for."""
        names = self.companion_names
        return self._store.fetch(names) if self._store and names else None

    @property
    def addresses(self) -> list[str]:
        """The addresses of its files."""
        return [each.file.address for each in self._opened]

    @property
    def companion_names(self) -> list[str]:
        """Names of the files beside the weights that make them a model."""
        return [name for name in self._store.names if is_companion(name)] if self._store else []

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The parsed config.json, or an empty mapping."""
        path = self.companion(CONFIG)
        return read_json_object(path) if path else {}

    def companion(self, name: str) -> Path | None:
        """Return one file beside the weights, brought here; None where there is no such file."""
        if self._store is None or name not in self._store.names:
            return None
        return self._store.fetch([name]) / name

    def hash_files(self) -> None:
        """Hash whole files while they are read from now on; what their store states of them is asked here.

        Raises:
            MergeError: It cannot be asked.
        """
        names = [identity.name for identity in self.identities]
        stated = self._stated(names)
        files = zip(names, self._opened, strict=True)
        self._hashes = [FileHash(each.file, each.size, stated.get(name)) for name, each in files]
        map_side_by_side(lambda pair: pair[0].begin(pair[1].offset), list(zip(self._hashes, self._opened, strict=True)))

    def file_hashes(self) -> Mapping[str, str]:
        """Return the sha256 of the files by their addresses, after `hash_files`; what was not read is read for it.

        Raises:
            MergeError: A file is not what its store states.
        """
        found = zip(self._opened, self._hashes, strict=True)
        return {shown(each.file.address): known.finish() for each, known in found}

    def expect(self, tensors: Iterable[TensorInfo], *, again: bool) -> None:
        """Prepare for the reading of tensors in this order; what was prepared before is given up.

        Args:
            tensors: Of this checkpoint.
            again: Whether they will be read more than once; they are then kept on the disk meanwhile.
        """
        with self._making:
            self._expected, self._again = list(tensors), again
            if self._made is not None:
                self._made.close()
                self._made = None

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this byte offset within the tensor."""
        if len(buffer):
            with self._reading.timed(len(buffer)):
                self._window.read_into(tensor.file, tensor.start + offset, buffer)

    @property
    def _window(self) -> Window:
        if self._made is None:
            with self._making:
                self._made = self._made or self._make()
        return self._made

    def _make(self) -> Window:
        every = sorted(self.tensors.values(), key=lambda tensor: (tensor.file, tensor.start))
        most = request_bytes(len(_open))
        course = Course(every if self._expected is None else self._expected, every, most)
        room = most * _at_once()
        return Window(course, self._fetch, most=most, room=room, again=self._again, give=_buffers.give)

    def _fetch(self, segment: Segment) -> Buffer:
        data = _buffers.take(segment.nbytes)
        with transfer_meter(link_of(self)).timed(segment.nbytes):
            self._opened[segment.file].read_into(segment.start, data)
        if self._hashes:
            self._hashes[segment.file].show(segment.start, data)
        return data

    def check_unchanged(self) -> None:
        """Refuse files that are no longer those that were opened.

        Raises:
            MergeError: Naming the file.
        """
        for each in self._opened:
            each.file.check_unchanged()

    def close(self) -> None:
        """Stop reading, and give memory and disk back."""
        _open.discard(self)
        for each in self._opened:
            each.file.close()
        if self._made is not None:
            self._made.close()
        for known in self._hashes:
            known.close()
        if not _open:
            _buffers.drop()


def count_as_one(checkpoints: Sequence[FileCheckpoint]) -> None:
    """Let checkpoints that are read one after the other share the memory that one of them gets."""
    remote = [one for one in checkpoints if isinstance(one, RemoteCheckpoint)]
    for one in remote[1:]:
        _open.discard(one)


def request_bytes(checkpoints: int) -> int:
    """Return how many bytes are asked for at once while so many checkpoints are read: a power of two."""
    share = MEMORY_BYTES // (max(1, checkpoints) * _at_once())
    return max(SMALLEST_REQUEST, min(LARGEST_REQUEST, 1 << (share.bit_length() - 1)))


def _at_once() -> int:
    """Return how many segments of a checkpoint are held: one per worker, those ahead, and one that is leaving."""
    return min(os.cpu_count() or 1, _MOST_WORKERS) + AHEAD + 1
