"""Which of a model's outputs a benchmark scores: of two label spaces side by side, the one that it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import MergeError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from ..section import Section

KEY = "outputs"
_FORM = "[FIRST, LAST]: the numbers of the first and the last output that count, from 0"


@dataclass(frozen=True)
class ScoredOutputs:
    """Neighbouring outputs, which stand for the benchmark's classes from 0 on.

    Attributes:
        first: Number of the first one, from 0.
        last: Number of the last one.
    """

    first: int
    last: int

    @property
    def count(self) -> int:
        """How many there are."""
        return self.last - self.first + 1

    def of(self, logits: Tensor, where: str) -> Tensor:
        """Return these logits [n, classes] of all [n, outputs]; all of them where the model has just as many.

        Raises:
            MergeError: The model has too few outputs.
        """
        if logits.ndim != 2 or logits.shape[1] == self.count:
            return logits
        if logits.shape[1] <= self.last:
            what = f"the benchmark scores outputs {self.first} to {self.last}, the model has {logits.shape[1]}"
            hint = f"'{KEY}' counts from 0; leave it out for models with one label space"
            raise MergeError(what, where=where, hint=hint)
        return logits[:, self.first : self.last + 1]


def read_scored_outputs(section: Section) -> ScoredOutputs | None:
    """Return what a benchmark says of them; None where all count. Raises UsageError with the place of a mistake."""
    if KEY not in section.mapping:
        return None
    given, where = section.mapping[KEY], section.where(KEY)
    whole = isinstance(given, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in given)
    if not whole or len(given) != 2:
        raise UsageError(f"'{KEY}' must be {_FORM}, not {given!r}", where=where)
    first, last = map(int, given)
    if not 0 <= first < last:
        raise UsageError(f"'{KEY}' must be two outputs or more, from 0 on, not {first} to {last}", where=where)
    return ScoredOutputs(first, last)


def scored(outputs: ScoredOutputs | None, logits: Tensor, where: str) -> Tensor:
    """Return the logits that count. Raises MergeError as `ScoredOutputs.of`."""
    return logits if outputs is None else outputs.of(logits, where)
