"""Open every model of a recipe once, whatever the number of times and names under which it is given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..calibration.facts import Facts
from ..checkpoints.checkpoint import Source
from ..checkpoints.memory import MemoryCheckpoint
from ..checkpoints.resolve import open_checkpoint
from ..errors import MergeError, UsageError
from ..recipe import Model

Key = tuple[object, ...]


class Opener:
    """Opens models and remembers them.

    Attributes:
        sources: The opened models, in the order in which they were first named.
        repeated: Locations that were given again, under this or another name.
        positions: Position of every model that was opened, by its identity in memory.
        statistics: What every statistics file among the sources says of itself, by its position.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._positions: dict[Key, int] = {}
        self.sources: list[Source] = []
        self.repeated: list[str] = []
        self.positions: dict[int, int] = {}
        self.statistics: dict[int, Facts] = {}

    def open(self, model: Model) -> int:
        """Open a leaf model and return its position among the sources.

        Raises:
            MergeError: When it is no sound checkpoint.
            UsageError: When nothing is there.
        """
        source = self._open(model)
        files = [(identity.device, identity.inode) for identity in source.identities]
        key: Key = tuple(files) if files else (id(model.model),)
        if key in self._positions:
            self.repeated.append(source.location)
        else:
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
            if facts.kind and facts.kind != kind:
                raise UsageError(f"holds {facts.kind} statistics, not {kind}", where=source.location)
            self._positions[key] = len(self.sources)
            self.statistics[len(self.sources)] = facts
            self.sources.append(source)
        self.positions[id(given)] = self._positions[key]
        return self._positions[key]

    def _open(self, model: Model) -> Source:
        if isinstance(model.model, Mapping):
            return MemoryCheckpoint(f"state dict {len(self.sources) + 1}", model.model)
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
