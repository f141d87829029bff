"""Some tensors of another checkpoint, under other names: what a part of a stack takes of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .checkpoint import FileIdentity, Source
from .files import Buffer
from .header import TensorInfo
from .target import OUR_KEY


class PartSource:
    """Another source of which some tensors go by other names; their bytes are the source's own.

    Attributes:
        source: The checkpoint that they are read from. It is closed by whoever opened it.
        changed: Names of the tensors whose bytes are not the source's: none.
        location: What stands for it in messages.
        tensors: By their new names, the tensors as the source has them.
    """

    changed: frozenset[str] = frozenset()

    def __init__(self, source: Source, tensors: Mapping[str, TensorInfo], location: str) -> None:
        self.source, self.tensors, self.location = source, tensors, location
        self.notes: list[str] = []

    @property
    def metadata(self) -> Mapping[str, str]:
        """The source's, without its content id: this is a part of it."""
        return {key: value for key, value in self.source.metadata.items() if key != OUR_KEY}

    @property
    def config(self) -> Mapping[str, Any]:
        """The source's config.json."""
        return self.source.config

    @property
    def folder(self) -> Path | None:
        """The folder of the source, where it has one."""
        return getattr(self.source, "folder", None)

    @property
    def weights_name(self) -> str:
        """Name that a single-file output in a folder should have."""
        return str(getattr(self.source, "weights_name", "model.safetensors"))

    @property
    def identities(self) -> list[FileIdentity]:
        """The source's files."""
        return self.source.identities

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this byte offset within the tensor."""
        self.source.read_into(tensor, offset, buffer)

    def check_unchanged(self) -> None:
        """Refuse to go on when the files are no longer what was opened."""
        self.source.check_unchanged()

    def close(self) -> None:
        """Leave the source to whoever opened it."""
