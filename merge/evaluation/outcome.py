"""What one model did on one benchmark: its measures, and what pairs it with other models item by item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..data_use import NO_DATA

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Metrics where less is better; all others are better when they are higher.
LOWER_IS_BETTER = frozenset(
    {"loss", "entropy", "calibration_error", "perplexity", "bits_per_byte", "word_perplexity", "byte_perplexity"}
    | {"brier_score", "ter", "bits_per_document", "bits_per_window", "bits_per_token"}
)


@dataclass(frozen=True)
class Measure:
    """A value over ``n`` items and its 95 % interval."""

    metric: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Outcome:
    """One model on one benchmark.

    Attributes:
        measures: The benchmark's main metric first.
        items: What the main metric is a mean of, item by item [n]: whether the model was right, or a number.
        item_metric: Name of the mean of ``items``; what paired tests compare.
        pairing: Two outcomes are compared item by item only where this is the same text.
        logits: Class scores [n, classes] of a classifier, from which ensembles are made.
        details: What else a report shows, JSON values only: ``head``, ``classes``, ``calibration``.
    """

    measures: tuple[Measure, ...]
    items: NDArray[np.bool_] | NDArray[np.float64]
    item_metric: str = "accuracy"
    pairing: str = ""
    logits: NDArray[np.floating] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def with_notes(self, notes: Iterable[str], data_use: str = NO_DATA) -> Outcome:
        """Return the outcome with more notes for a reader, and with the data that it consumed, if any."""
        used = {} if data_use == NO_DATA else {"data_use": data_use}
        told = [*self.details.get("notes", ()), *notes]
        return replace(self, details={**self.details, **used, "notes": told})

    @property
    def main(self) -> Measure:
        """The measure that the benchmark is known by."""
        return self.measures[0]

    def measure(self, metric: str) -> Measure:
        """Return a measure by name. Raises KeyError when the benchmark has none of that name."""
        for one in self.measures:
            if one.metric == metric:
                return one
        raise KeyError(metric)
