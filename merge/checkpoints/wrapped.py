"""A checkpoint in files that some tensors are read from otherwise than they are stored: scaled, or masked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from .checkpoint import OUR_KEY, FileCheckpoint
from .header import TensorInfo


class WrappedCheckpoint(FileCheckpoint):
    """Another checkpoint with some tensors in the place of what is stored for them.

    Attributes:
        source: The checkpoint beneath. It is closed with this one.
        changed: Names of the tensors that are not the source's own.
        reads_in_order: Whether one tensor of the source is read to its end before the next.

    Args:
        source: The checkpoint beneath.
        tensors: What it is read as.
        stored: The source's tensors that are read for each of the changed ones.
        note: What a reader should know of that.
    """

    reads_in_order = True

    def __init__(
        self,
        source: FileCheckpoint,
        tensors: Mapping[str, TensorInfo],
        stored: Mapping[str, Iterable[TensorInfo]],
        note: str,
    ) -> None:
        # Not of the class above, which would look for files here: the source's may lie elsewhere.
        self.source, self.tensors = source, tensors
        self.changed, self._behind = frozenset(stored), {name: [*found] for name, found in stored.items()}
        self.location, self.files, self.origin = source.location, source.files, source.origin
        self.weights_name, self.identities = source.weights_name, source.identities
        self.notes = [*source.notes, note]

    def __getattr__(self, name: str) -> Any:
        """Hand on what only a checkpoint elsewhere has: the files beside the weights one by one, and their hashes."""
        if name == "source":  # it is not there yet
            raise AttributeError(name)
        return getattr(self.source, name)

    @property
    def metadata(self) -> Mapping[str, str]:  # type: ignore[override]
        """The source's, without its content id: these are other tensors."""
        return {key: value for key, value in self.source.metadata.items() if key != OUR_KEY}

    @property
    def folder(self) -> Path | None:  # type: ignore[override]
        """The folder of the source, where it has one."""
        return self.source.folder

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The source's config.json."""
        return self.source.config

    def behind(self, tensor: TensorInfo) -> list[TensorInfo]:
        """Return what is read of the source for one tensor, in the order of its files."""
        return sorted(self._behind.get(tensor.name, [tensor]), key=lambda one: (one.file, one.start))

    def stored_bytes(self, tensor: TensorInfo) -> int:
        """Return the bytes that are read of the source for one tensor."""
        return sum(one.nbytes for one in self.behind(tensor))

    def check_unchanged(self) -> None:
        """Refuse files that are no longer those that were opened."""
        self.source.check_unchanged()

    def close(self) -> None:
        """Close the source."""
        self.source.close()


def in_place_of(
    tensors: Mapping[str, TensorInfo], read: Mapping[str, TensorInfo], hidden: Iterable[str]
) -> dict[str, TensorInfo]:
    """Return tensors with some read in the place of others; these have a file number of their own, as no other range.

    Args:
        tensors: As they are stored.
        read: What stands in the place of a tensor, by that tensor's name.
        hidden: What is left out.
    """
    first, gone = max((tensor.file for tensor in tensors.values()), default=-1) + 1, set(hidden)
    own = {name: one._replace(file=first + number, start=0) for number, (name, one) in enumerate(read.items())}
    found = (own.get(name, tensor) for name, tensor in tensors.items() if name not in gone)
    return {tensor.name: tensor for tensor in found}
