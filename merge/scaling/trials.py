"""The candidates of a search for coefficients: zero, the same one for all, and what every epoch came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .scoring import Found, score

if TYPE_CHECKING:
    from torch import Tensor

    from .tasks import DataTask
    from .vectors import TaskVectors

UNIFORM_SCALES = tuple(step / 20 for step in range(1, 21))
ZERO, UNIFORM, EPOCH = "zero", "uniform", "epoch"


@dataclass(frozen=True)
class Trial:
    """A candidate.

    Attributes:
        kind: ``zero``, ``uniform`` or ``epoch``.
        at: The uniform scale, or the number of the epoch.
        coefficients: [task vectors, tensors or 1, parts].
    """

    kind: str
    at: float
    coefficients: Tensor
    found: Found

    @property
    def name(self) -> str:
        """The candidate in words."""
        return {ZERO: "zero", UNIFORM: f"uniform {self.at:g}", EPOCH: f"epoch {self.at:g}"}[self.kind]

    def as_json(self) -> dict[str, Any]:
        """Return it for reports, without its coefficients."""
        return {"candidate": self.name, **self.found.as_json()}


class Trials:
    """Scores candidates and keeps the best of each kind.

    Args:
        vectors: The task vectors.
        validation: The data that candidates are scored on.
        shape: Of the coefficients.
        labels: Whether its labels count.

    Attributes:
        rows: Every candidate for reports, in order.
    """

    def __init__(
        self, vectors: TaskVectors, validation: Sequence[DataTask], shape: tuple[int, int, int], *, labels: bool
    ) -> None:
        self._vectors, self._validation, self._shape, self._labels = vectors, validation, shape, labels
        self._best: dict[str, Trial] = {}
        self.rows: list[dict[str, Any]] = []

    def before(self) -> None:
        """Score zero, which is the base, and the uniform scales."""
        import torch

        self.add(ZERO, 0.0, torch.zeros(self._shape, dtype=torch.float64))
        for scale in UNIFORM_SCALES:
            self.add(UNIFORM, scale, torch.full(self._shape, scale, dtype=torch.float64))

    def add(self, kind: str, at: float, coefficients: Tensor) -> Trial:
        """Score one more candidate, rounded as it would be written."""
        tensors = self._vectors.scaled(coefficients, rounded=True)
        trial = Trial(kind, at, coefficients, score(self._validation, tensors, labels=self._labels))
        self.rows.append(trial.as_json())
        known = self._best.get(kind)
        if known is None or trial.found.beats(known.found):
            self._best[kind] = trial
        return trial

    def best_of(self, kind: str) -> Trial:
        """Return the best candidate of a kind, the first among equals. Raises KeyError where there is none."""
        return self._best[kind]

    @property
    def best(self) -> Trial:
        """The best of all: zero where no score is higher, then the one with the lowest loss among equal scores."""
        zero = self._best[ZERO]
        others = [trial for kind, trial in self._best.items() if kind != ZERO and trial.found.gain(zero.found) > 0]
        best = others[0] if others else zero
        for trial in others[1:]:
            best = trial if trial.found.beats(best.found) else best
        return best
