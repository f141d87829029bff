"""Open every model of a recipe once, whatever the number of times and names under which it is given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..adapters.recognising import refuse_adapter
from ..calibration.facts import Facts
from ..checkpoints.checkpoint import Source
from ..checkpoints.masked import state_with_masks_applied
from ..checkpoints.memory import MemoryCheckpoint
from ..checkpoints.resolve import local_path, open_checkpoint
from ..errors import MergeError, UsageError
from ..recipe import Alignment, Model
from .stated import check_kind, refuse_statistics

Key = tuple[object, ...]


class Opener:
    """Opens models and remembers them.

    Attributes:
        sources: The opened models, in the order in which they were first named.
        positions: Position of every model that was opened, by its identity in memory.
        statistics: What every statistics file among the sources says of itself, by its position.
        orders: Positions of permutations files among the sources.
        roles: What sources are that others are made from, by position.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._positions: dict[Key, int] = {}
        self.sources: list[Source] = []
        self.positions: dict[int, int] = {}
        self.statistics: dict[int, Facts] = {}
        self.orders: set[int] = set()
        self.roles: dict[int, str] = {}

    def open(self, model: Model) -> int:
        """Open a leaf model and return its position among the sources.

        Raises:
            MergeError: When it is no sound checkpoint.
            UsageError: When nothing is there.
        """
        source = self._open(model)
        refuse_statistics(source, model.where)
        refuse_adapter(source, model.where)
        files = [(identity.device, identity.inode) for identity in source.identities]
        key: Key = tuple(files) if files else (id(model.model),)
        if key not in self._positions:
            self._positions[key] = len(self.sources)
            self.sources.append(source)
        self.positions[id(model)] = self._positions[key]
        return self._positions[key]

    def open_statistics(self, model: Model, kind: str) -> int:
        """Open the statistics of a model and return their position among the sources.

        Raises:
            MergeError: The file is broken.
            UsageError: Nothing is there, or it holds statistics of another kind.
        """
        given = model.statistics[kind]
        source = self._open(Model(given, where=model.where))
        files = [(identity.device, identity.inode) for identity in source.identities]
        key: Key = (kind, *files) if files else (id(given),)
        if key not in self._positions:
            facts = Facts.from_metadata(source.metadata, source.location)
            check_kind(source, facts, kind, is_model=tuple(files) in self._positions)
            self._positions[key] = len(self.sources)
            self.statistics[len(self.sources)] = facts
            self.sources.append(source)
        self.positions[id(given)] = self._positions[key]
        return self._positions[key]

    def open_aligned(self, model: Model, alignment: Alignment) -> int:
        """Open a model whose units take the order of a permutations file.

        The model as it is and the file are sources too, so that their content ids are recorded.

        Raises:
            MergeError: The file is broken, or belongs to other tensors.
        """
        from ..alignment.permutations import axis_indices
        from ..alignment.permutations_file import read_permutations
        from ..alignment.validation import check
        from ..checkpoints.permuted import PermutedSource

        before = self.open(alignment.model)
        source = self._open(Model(alignment.permutations or "", where=alignment.where))
        self.positions[id(alignment.permutations)] = len(self.sources)
        self.orders.add(len(self.sources))
        self.sources.append(source)
        moved, kept = self.sources[before], read_permutations(local_path(alignment.permutations or "", self._folder))
        shapes = {name: tensor.shape for name, tensor in moved.tensors.items()}
        check(kept.groups, shapes)
        self.positions[id(model)] = len(self.sources)
        indices = axis_indices(kept.groups, kept.orders, shapes)
        self.sources.append(PermutedSource(moved, indices, f"{moved.location} (aligned)"))
        return self.positions[id(model)]

    def _open(self, model: Model) -> Source:
        if isinstance(model.model, Mapping):
            return state_with_masks_applied(MemoryCheckpoint(f"state dict {len(self.sources) + 1}", model.model))
        try:
            return open_checkpoint(str(model.model), relative_to=self._folder)
        except UsageError as error:
            where = f"{model.where}: {error.where}" if model.where else error.where
            raise UsageError(error.what, where=where, hint=error.hint) from None
        except MergeError as error:
            where = f"{model.where}: {error.where}" if model.where else error.where
            raise MergeError(error.what, where=where, hint=error.hint) from None

    def close(self) -> None:
        """Close every source."""
        for source in self.sources:
            source.close()
