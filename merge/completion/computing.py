"""How what is missing is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..distributed.spreading import Spreading

if TYPE_CHECKING:
    from ..evaluation.task import Settings


@dataclass(frozen=True)
class Computing:
    """How statistics are computed, and orders of units found.

    Attributes:
        settings: Device, items at a time, architecture by ``--model``; told of progress.
        force: Whether statistics of an earlier run are replaced.
        resume: Whether an unfinished run is continued.
        note: Told what happens.
        verify: Whether groups of units are proven on the running model; None: where one can be built.
        input_shape: Shape of what the model reads, with the batch, such as ``2x64``; None: as the model says.
        spreading: Processes among which models are spread.
        elsewhere: Device on the machines of a cluster, which choose it themselves; None: as here.
        threads: Threads that torch computes with on the CPU, in each process; None: those that it has in this one; on
            a cluster one.
    """

    settings: Settings
    force: bool = False
    resume: bool = False
    note: Callable[[str], None] = print
    verify: bool | None = None
    input_shape: str | None = None
    spreading: Spreading = field(default_factory=Spreading)
    elsewhere: str | None = None
    threads: int | None = None

    def alone(self, what: str) -> None:
        """Tell what other processes do not help with, where there are some."""
        if self.spreading.is_spread:
            self.note(f"{what} by this process; --workers and --engine are for the merge itself")
