"""Models on a line with their BatchNorm statistics measured anew, as a merge of them would have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from ..after.declared import ResetOptions
    from ..calibration.data import CalibrationData
    from ..evaluation.candidate import Candidate
    from ..evaluation.task import Settings


@dataclass(frozen=True)
class Resetting:
    """Measures statistics of one model after the other on the same data.

    Attributes:
        data: The data.
        options: How many items of it.
        settings: Device, seed, items at a time.
    """

    data: CalibrationData
    options: ResetOptions
    settings: Settings
    _known: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """What a document records of it."""
        return {"data": self.data.name, "samples": self.options.samples, "seed": self.settings.seed}

    def check(self, names: Iterable[str], where: str) -> None:
        """Refuse models without BatchNorm. Raises UsageError with the names of their tensors at hand."""
        from ..after.batch_norm_layers import check_has_layers

        check_has_layers(names, where)

    def __call__(self, candidate: Candidate) -> Candidate:
        """Return a model with new statistics, known ones where it was seen before, told by its identity.

        Raises:
            UsageError: The data is not for such a model.
            MergeError: It does not run.
        """
        from ..after.batch_norm import new_statistics

        if candidate.identity not in self._known:
            self._known[candidate.identity] = new_statistics(candidate, self.data, self.options, self.settings)
        return replace(candidate, tensors={**candidate.tensors, **self._known[candidate.identity]})
