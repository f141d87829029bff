"""Several checkpoints that are one: the names of each have its component in front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ...errors import MergeError
from ..checkpoint import FileCheckpoint, FileIdentity
from ..files import Buffer
from ..header import TensorInfo
from ..scaled_settings import stated_quantisation
from .declared import SENTENCES
from .part import Part
from .quantised import stating

Own = dict[str, tuple[FileCheckpoint, TensorInfo]]


class ComponentCheckpoint(FileCheckpoint):
    """A folder of components as one checkpoint.

    Attributes:
        parts: The components with weights. They are closed with this one.
        library: The library that loads the folder.

    Args:
        location: What the user wrote.
        parts: The components with weights, in order.
        library: The library that loads the folder.
        folder: Where it lies, or None.
        notes: What a reader should know besides what is to be known of the parts.
    """

    def __init__(
        self,
        location: str,
        parts: Sequence[Part],
        library: str,
        *,
        folder: Path | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        # Not of the class above, which would look for files here: those of the parts may lie elsewhere.
        self.location, self.parts, self.library = location, list(parts), library
        self.files = [file for part in parts for file in part.source.files]
        self.identities = [_named(identity, part) for part in parts for identity in part.source.identities]
        self.weights_name = parts[0].weights_name
        self.notes = [*notes, *(part.said(note) for part in parts for note in part.source.notes)]
        self.metadata = dict(_common([part.source.metadata for part in parts]))
        self.tensors, self._own = _joined(location, parts)
        if folder is not None:
            self.folder = folder

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The config.json of the model that the other modules follow; of a pipeline, what is stated of quantisation.

        Where components state different things, none of them holds for the whole.
        """
        if self.library == SENTENCES:
            return self.parts[0].source.config
        stated = [{part.folder: part.source.config} for part in stating(self)]
        alike = all(stated_quantisation(one) == stated_quantisation(stated[0]) for one in stated)
        return stated[0] if stated and alike else {}

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this byte offset within the tensor."""
        source, own = self._own[tensor.name]
        source.read_into(own, offset, buffer)

    def expect(self, tensors: Iterable[TensorInfo], *, again: bool) -> None:
        """Tell the parts that lie elsewhere what will be read of them, in order."""
        wanted: dict[int, list[TensorInfo]] = {}
        for tensor in tensors:
            source, own = self._own[tensor.name]
            wanted.setdefault(id(source), []).append(own)
        for part in self.parts:
            tell = getattr(part.source, "expect", None)
            if tell is not None:
                tell(wanted.get(id(part.source), []), again=again)

    def hash_files(self) -> None:
        """Have files elsewhere hashed while they are read."""
        from ..bringing import hash_files

        for part in self.parts:
            hash_files(part.source)

    def file_hashes(self) -> Mapping[str, str]:
        """Return the sha256 of all files by their paths or addresses, after `hash_files`."""
        from ..bringing import file_hashes

        return {name: value for part in self.parts for name, value in file_hashes(part.source).items()}

    def check_unchanged(self) -> None:
        """Refuse files that are no longer those that were opened."""
        for part in self.parts:
            part.source.check_unchanged()

    def close(self) -> None:
        """Close the parts."""
        for part in self.parts:
            part.source.close()


def _named(identity: FileIdentity, part: Part) -> FileIdentity:
    return identity._replace(name=f"{part.folder}/{identity.name}") if part.folder else identity


def _common(found: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """Return what all files say alike; what one of them says alone is not said of the whole."""
    first, *others = found
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}


def _joined(location: str, parts: Sequence[Part]) -> tuple[dict[str, TensorInfo], Own]:
    """Return the tensors of all parts under their whole names, and where each comes from.

    Raises:
        MergeError: Two have the same name.
    """
    tensors: dict[str, TensorInfo] = {}
    own: Own = {}
    first = 0
    for part in parts:
        for name, tensor in part.source.tensors.items():
            whole = part.prefix + name
            if whole in tensors:
                raise MergeError(f"'{whole}' is the name of tensors of two components", where=location)
            tensors[whole] = tensor._replace(name=whole, file=first + tensor.file)
            own[whole] = part.source, tensor
        files = (tensor.file for tensor in part.source.tensors.values())
        first += max(len(part.source.files), max(files, default=-1) + 1)
    return tensors, own
