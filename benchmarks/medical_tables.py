"""The tables of ``medical.py``: means over training seeds with intervals, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from quality_tables import interval, markdown

Scores = dict[str, dict[str, float]]  # model ▸ benchmark ▸ value
MISSING = "-"


def score_table(seeds: Sequence[Scores], benchmarks: Sequence[str]) -> str:
    """Return every model on every benchmark, and the mean over the benchmarks."""
    lines = []
    for label in labels_of(seeds):
        columns = [[scores.get(label, {}).get(name) for scores in seeds] for name in benchmarks]
        lines.append([label, *map(_cell, columns), _cell(_means(seeds, label, benchmarks))])
    return markdown(("model", *benchmarks, "mean"), lines)


def difference_table(seeds: Sequence[Scores], benchmarks: Sequence[str], reference: str) -> str:
    """Return every model minus the reference, and every bundle minus its own rows, as means over the benchmarks."""
    lines = []
    for label, other in _pairs(labels_of(seeds), reference):
        ours, theirs = _means(seeds, label, benchmarks), _means(seeds, other, benchmarks)
        both = [(one, two) for one, two in zip(ours, theirs, strict=True) if one is not None and two is not None]
        differences = [one - two for one, two in both]
        above = f"{sum(value > 0 for value in differences)} of {len(differences)}"
        lines.append([f"{label} minus {other}", _cell(differences, "+.1f"), above])
    return markdown(("difference", "mean over the sets", "seeds above 0"), lines)


def labels_of(seeds: Sequence[Scores]) -> list[str]:
    """Return all models in the order in which they come."""
    return list(dict.fromkeys(label for scores in seeds for label in scores))


def _pairs(labels: Sequence[str], reference: str) -> list[tuple[str, str]]:
    """Return which models are compared: a bundle's own rows with the bundle alone."""
    of_bundles = [(label, own) for label in labels for own in labels if own.startswith(f"{label} (")]
    own_rows = {own for _, own in of_bundles}
    return [(label, reference) for label in labels if label != reference and label not in own_rows] + of_bundles


def _means(seeds: Sequence[Scores], label: str, benchmarks: Sequence[str]) -> list[float | None]:
    """Return the mean over the benchmarks, seed by seed; None where one is missing, so that like is set beside like."""
    rows = [[scores.get(label, {}).get(name) for name in benchmarks] for scores in seeds]
    return [None if None in row or not row else float(np.mean(row)) for row in rows]  # type: ignore[arg-type]


def _cell(values: Sequence[float | None], form: str = ".1f") -> str:
    """Return mean and interval over seeds, times 100."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return MISSING
    mean, low, high = (100 * value for value in interval(known))
    return f"{mean:{form}} ({low:{form}} to {high:{form}})" if len(known) > 1 else f"{mean:{form}}"
