"""Models that stay in memory between benchmarks, as far as there is room for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .locate import BundleLocation, Location
from .memory import free_memory

if TYPE_CHECKING:
    from .candidate import Candidate

SHARE = 4  # of the memory that is free at the start, one part in so many


@dataclass
class Room:
    """Bytes that remembered models may still take up; None where that is not known, and none are kept."""

    left: int | None

    def take(self, nbytes: int) -> bool:
        """Tell whether there is room for so many bytes, and keep them if so."""
        if self.left is None or nbytes > self.left:
            return False
        self.left -= nbytes
        return True


@dataclass
class Remembered:
    """A location that is loaded once if there is room, else each time."""

    inner: Location
    room: Room
    kept: Candidate | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The model as the user gave it."""
        return self.inner.name

    def load(self) -> Candidate:
        """Return the model, from memory where it was kept."""
        if self.kept is not None:
            return self.kept
        candidate = self.inner.load()
        if self.room.take(sum(tensor.nbytes for tensor in candidate.tensors.values())):
            self.kept = candidate
        return candidate


def remember(locations: Mapping[str, Location], benchmarks: int) -> Mapping[str, Location]:
    """Return locations that keep their models for the benchmarks to come, where there is more than one."""
    if benchmarks < 2:
        return locations
    room = free_room()
    return {name: remembered(location, room) for name, location in locations.items()}


def free_room(processes: int = 1) -> Room:
    """Return room for models in a part of the memory that is free, of which so many processes get the same."""
    free = free_memory()
    return Room(None if free is None else free // (SHARE * processes))


def remembered(location: Location, room: Room) -> Location:
    """Return a location that keeps its model, unless it is a bundle, whose rule decides about that."""
    return location if isinstance(location, BundleLocation) else Remembered(location, room)
