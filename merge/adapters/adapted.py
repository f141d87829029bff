"""A checkpoint with an adapter baked in while it is read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..checkpoints.beside import AS_IT_IS, Beside
from ..checkpoints.checkpoint import OUR_KEY, FileCheckpoint, FileIdentity, check_files
from ..checkpoints.files import Buffer
from ..checkpoints.header import TensorInfo
from ..checkpoints.strength import FULL, Strength
from .blocks import LOADED, Blocks
from .computing import Computation
from .fitting import Fitted
from .vocabulary import beside_resized, remark, resized_config


class AdaptedCheckpoint(FileCheckpoint):
    """Another checkpoint with the changes of an adapter; its files are those of both.

    Attributes:
        source: The checkpoint beneath. It is closed with this one.
        changed: Names of the tensors that are not the source's own.
        vocabulary: The numbers of tokens, where the adapter comes with more or fewer than the source has.

    Args:
        location: What the user wrote.
        source: The checkpoint beneath.
        adapter: The adapter's tensors; it is closed with this one.
        fitted: What the adapter does.
        files: The adapter's files.
        strength: How much of it: with the same files, another one makes another checkpoint.
    """

    def __init__(
        self,
        location: str,
        source: FileCheckpoint,
        adapter: FileCheckpoint,
        fitted: Fitted,
        files: Sequence[Path],
        strength: Strength = FULL,
    ) -> None:
        first = max((tensor.file for tensor in source.tensors.values()), default=-1) + 1
        own = {
            name: change.target._replace(file=first + number, start=0)
            for number, (name, change) in enumerate(fitted.changes.items())
        }
        super().__init__(
            location,
            [*source.files, *files],
            {**source.tensors, **own},
            {key: value for key, value in source.metadata.items() if key != OUR_KEY},
            folder=source.folder,
            weights_name=source.weights_name,
            notes=[*source.notes, *adapter.notes, *fitted.notes],
        )
        self.source, self.changed = source, frozenset(own)
        self.vocabulary, self._beside_adapter = fitted.vocabulary, files[-1].parent
        if self.vocabulary is not None:
            self.notes.append(remark(self.vocabulary, self._beside_adapter))
        self._own_identities = self.identities[len(source.files) :]
        marked = [_mark(strength)] if strength != FULL else []
        self.identities = [*source.identities, *self._own_identities, *marked]  # the source may lie elsewhere
        self._adapter = adapter
        self._replaced = {name: change.whole for name, change in fitted.changes.items() if change.is_replaced}
        self._changes = {name: change for name, change in fitted.changes.items() if not change.is_replaced}
        self._computations: dict[str, Computation] = {}  # made as they are asked for: a plan needs none
        self._loaded: OrderedDict[str, None] = OrderedDict()
        self._loading = threading.Lock()
        self._blocks = Blocks(self._block)

    @property
    def config(self) -> Mapping[str, Any]:
        """The source's config.json, with the number of tokens that the adapter comes with."""
        return self.source.config if self.vocabulary is None else resized_config(self.source.config, self.vocabulary)

    @property
    def own_beside(self) -> Beside:
        """What changes in the files beside the source's weights."""
        return AS_IT_IS if self.vocabulary is None else beside_resized(self.vocabulary, self._beside_adapter)

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the baked tensor's bytes from this byte offset within the tensor."""
        whole = self._replaced.get(tensor.name)
        if whole is not None:
            self._adapter.read_into(whole, offset, buffer)
        elif tensor.name in self._changes:
            computation = self._computation(tensor.name)
            self._blocks.read_into(tensor.name, computation.rows * computation.row_bytes, offset, buffer)
        else:
            self.source.read_into(tensor, offset, buffer)

    def _computation(self, name: str) -> Computation:
        known = self._computations.get(name)
        if known is None:
            made = Computation(self._changes[name], self.source.read_into, self._adapter.read_into)
            known = self._computations.setdefault(name, made)  # two threads may make one; the first one counts
        return known

    def _block(self, name: str, number: int) -> Buffer:
        self._remember(name)
        return self._computation(name).block(number)

    def _remember(self, name: str) -> None:
        """Let the tensors that were asked for longest ago give the memory of their factors back."""
        with self._loading:
            self._loaded[name] = None
            self._loaded.move_to_end(name)
            while len(self._loaded) > LOADED:
                self._computations[self._loaded.popitem(last=False)[0]].forget()

    def check_unchanged(self) -> None:
        """Refuse files of the source or of the adapter that are no longer those that were opened."""
        self.source.check_unchanged()
        check_files(self.files[len(self.source.files) :], self._own_identities)

    def close(self) -> None:
        """Close the source and the adapter."""
        self.source.close()
        self._adapter.close()
        super().close()


def _mark(strength: Strength) -> FileIdentity:
    """Return what tells checkpoints of the same files apart."""
    import xxhash

    return FileIdentity("strength", 0, 0, 0, xxhash.xxh3_64_intdigest(repr(tuple(strength)).encode()))
