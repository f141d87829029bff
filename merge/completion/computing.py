"""How what is missing is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    """

    settings: Settings
    force: bool = False
    resume: bool = False
    note: Callable[[str], None] = print
    verify: bool | None = None
    input_shape: str | None = None
