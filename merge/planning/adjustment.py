"""A plan that copies one model and adjusts some of its tensors by a file of statistics."""

from __future__ import annotations

from dataclasses import dataclass

from ..calibration.facts import Facts
from ..errors import MergeError

COMMANDS = {"bn-reset": "batch-norm", "repair": "repair"}  # with the kind of statistics that each takes
MODEL, STATISTICS = 0, 1  # positions of both among the plan's sources
MEASURED, SCALED = "measured on data", "scaled to the goal's activations"  # why a tensor is not what it was


@dataclass(frozen=True)
class Adjustment:
    """What makes a plan one.

    Attributes:
        command: ``bn-reset`` or ``repair``.
        facts: What the file of statistics says of itself.
        where: The file.
    """

    command: str
    facts: Facts
    where: str

    def check_model(self, identity: str, location: str) -> None:
        """Refuse statistics that were measured on another model than the one with this content id.

        Raises:
            MergeError: Naming both.
        """
        if self.facts.model and self.facts.model != identity:
            what = f"these statistics were measured on another model than {location}"
            raise MergeError(what, where=self.where, hint=f"measure them again: merge {self.command} … --data SPEC")
