"""Sources that are made from others: which of their tensors are just those of the source beneath."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .checkpoint import OUR_KEY, FileCheckpoint, FileIdentity, Source
from .files import Buffer
from .header import TensorInfo

TensorKey = tuple[int, str]  # position of a source, name of a tensor as the source has it


class DerivedSource:
    """A source made from another one: what of it is just the other's.

    Attributes:
        source: The source that it is made from. It is closed by whoever opened it.
        changed: Names of the tensors whose bytes are not that source's own.
        location: What stands for it in messages.
        tensors: What it has.

    Args:
        source: Any source.
        tensors: What is made of its tensors.
        location: What stands for it in messages.
        changed: Names of the tensors whose bytes are not the source's own.
    """

    def __init__(
        self, source: Source, tensors: Mapping[str, TensorInfo], location: str, changed: Iterable[str] = ()
    ) -> None:
        self.source, self.tensors, self.location = source, tensors, location
        self.changed = frozenset(changed)
        self.notes: list[str] = []

    @property
    def metadata(self) -> Mapping[str, str]:
        """The source's, without its content id: these are other tensors."""
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
        """The files behind it."""
        return self.source.identities

    def marked(self, kind: str, digest: int) -> list[FileIdentity]:
        """Return the source's files and a mark of what was made of them; nothing for tensors in memory."""
        files = self.source.identities
        return [*files, FileIdentity(kind, 0, 0, 0, digest)] if files else []

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this byte offset within the tensor."""
        self.source.read_into(tensor, offset, buffer)

    def check_unchanged(self) -> None:
        """Refuse to go on when the files are no longer what was opened."""
        self.source.check_unchanged()

    def close(self) -> None:
        """Leave the source to whoever opened it."""


def beneath(source: Source, name: str) -> Source | None:
    """Return the source whose tensor this is, bit for bit and under its own name; None where it is the source's own."""
    changed: Collection[str] = getattr(source, "changed", ())
    below: Source | None = getattr(source, "source", None)
    return None if below is None or name in changed else below


def whole(source: Source) -> Source:
    """Return the checkpoint, as a user names it, that a source is made from or a part of; itself where it is one."""
    below: Source | None = getattr(source, "source", None)
    return source if below is None or isinstance(source, FileCheckpoint) else whole(below)


def stored_sizes(source: Source) -> Callable[[TensorInfo], int]:
    """Return what tells how many bytes are read for a tensor of a source: fewer where those are narrower."""
    below: Any = source
    while below is not None:
        stored: Callable[[TensorInfo], int] | None = getattr(below, "stored_bytes", None)
        if stored is not None:
            return stored
        below = getattr(below, "source", None)
    return lambda tensor: tensor.nbytes


def _below(source: Source) -> Iterator[Source]:
    """Yield the sources that a source is made from, the nearest first."""
    below: Source | None = getattr(source, "source", None)
    while below is not None:
        yield below
        below = getattr(below, "source", None)


def same_tensors(read: Iterable[TensorKey], opened: Sequence[Source]) -> dict[TensorKey, TensorKey]:
    """Return the tensors that are read already because a source made from theirs passes them on, and as what.

    Args:
        read: What is read.
        opened: All sources.
    """
    positions = {id(source): number for number, source in enumerate(opened)}
    if not any(id(below) in positions for source in opened for below in _below(source)):
        return {}
    found: dict[TensorKey, TensorKey] = {}
    for key in read:
        source = beneath(opened[key[0]], key[1])
        while source is not None:
            if id(source) in positions:
                found.setdefault((positions[id(source)], key[1]), key)
            source = beneath(source, key[1])
    return {key: origin for key, origin in found.items() if key != origin}
