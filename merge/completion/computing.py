"""How what is missing is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..evaluation.task import Settings


@dataclass(frozen=True)
class Computing:
    """How statistics are computed.

    Attributes:
        settings: Device, items at a time, architecture by ``--model``; told of progress.
        force: Whether statistics of an earlier run are replaced.
        resume: Whether an unfinished run is continued.
        note: Told what happens.
    """

    settings: Settings
    force: bool = False
    resume: bool = False
    note: Callable[[str], None] = print
