"""A checkpoint: an ordered mapping from tensor name to where its bytes lie, and a way to read any range of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..errors import MergeError
from .files import Buffer, ReadFile
from .header import TensorInfo
from .links import link_of, reading_meter
from .meter import Meter

OUR_KEY = "merge.output"  # metadata that every file of ours has
MOST_JSON_BYTES = 2**29  # of an index or a configuration; the largest known hold a tenth of that
WIDE_KEY = "wide"  # metadata of a network that is wider than its architecture: JSON that says how
NO_DEVICE = -1  # of a file elsewhere: no local file lies on it, so identities never meet


class FileIdentity(NamedTuple):
    """What tells whether a file is still the one that was planned with."""

    name: str
    size: int
    modified_ns: int
    device: int
    inode: int


class Source(Protocol):
    """What the planner and the engine need of a checkpoint, wherever its bytes are."""

    location: str
    tensors: Mapping[str, TensorInfo]
    notes: list[str]

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file says of itself."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The model's config.json, empty where there is none."""

    @property
    def identities(self) -> list[FileIdentity]:
        """The files behind it; empty for tensors in memory."""

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this byte offset within the tensor."""

    def check_unchanged(self) -> None:
        """Refuse to go on when what was read is no longer what was opened."""

    def close(self) -> None:
        """Give back what reading holds open."""


class FileCheckpoint:
    """A checkpoint in one or several safetensors files.

    Attributes:
        location: What the user wrote.
        folder: Where config, tokenizer and the like lie beside the weights, or None for a bare file.
        weights_name: Name that a single-file output in a folder should have, as this checkpoint has it.
        notes: What a reader should know (tensors that the index leaves out, a hub revision …).
        origin: What names it for good where the location does not: an id of the hub with its commit.
    """

    origin: str | None = None

    def __init__(
        self,
        location: str,
        files: list[Path],
        tensors: Mapping[str, TensorInfo],
        metadata: Mapping[str, str],
        *,
        folder: Path | None = None,
        weights_name: str = "model.safetensors",
        notes: list[str] | None = None,
    ) -> None:
        self.location, self.files, self.tensors, self.metadata = location, files, tensors, metadata
        self.folder, self.weights_name, self.notes = folder, weights_name, notes or []
        self.identities = [_identity(path) for path in files]
        self._open: dict[int, ReadFile] = {}
        self._lock = threading.Lock()

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The parsed config.json, or an empty mapping."""
        path = self.folder / "config.json" if self.folder else None
        return read_json_object(path) if path and path.is_file() else {}

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this byte offset within the tensor."""
        reader = self._open.get(tensor.file)
        if reader is None:
            with self._lock:
                if tensor.file not in self._open:
                    self._open[tensor.file] = ReadFile(self.files[tensor.file], str(self.files[tensor.file]))
                reader = self._open[tensor.file]
        began = self._reading.begin()
        reader.read_into(tensor.start + offset, buffer)
        self._reading.end(began, len(buffer))

    @cached_property
    def _reading(self) -> Meter:
        return reading_meter(link_of(self))

    def check_unchanged(self) -> None:
        """Refuse files that are no longer those that were opened.

        Raises:
            MergeError: Naming the file.
        """
        check_files(self.files, self.identities)

    def close(self) -> None:
        """Close every file that reading has opened."""
        while self._open:
            self._open.popitem()[1].close()


def check_files(files: Sequence[Path], identities: Sequence[FileIdentity]) -> None:
    """Refuse files that are no longer those that were opened.

    Raises:
        MergeError: Naming the file.
    """
    for path, known in zip(files, identities, strict=True):
        try:
            same = _identity(path) == known
        except OSError:
            same = False
        if not same:
            raise MergeError("the file changed while it was read", where=str(path), hint="run it again")


def _identity(path: Path) -> FileIdentity:
    status = path.stat()
    return FileIdentity(path.name, status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that must hold an object.

    Raises:
        MergeError: When it cannot be read, is far too large, or holds something else.
    """
    try:
        if path.stat().st_size > MOST_JSON_BYTES:
            raise MergeError(f"is larger than {MOST_JSON_BYTES // 2**20} MB", where=str(path), hint="it is damaged")
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise MergeError(f"cannot read it as JSON: {error}", where=str(path)) from None
    if not isinstance(found, dict):
        raise MergeError("holds no JSON object", where=str(path))
    return found
