"""Accuracy class by class."""

from __future__ import annotations

from collections.abc import Sequence

from ..names import Names
from ..page import Cell, Table
from ..rows import Row
from ..values import numeric, percent


def classes(benchmark: str, details: Sequence[Row], names: Names) -> list[Table]:
    """Return a table with one row per class and one column per model."""
    known = [row for row in details if row.get("classes")]
    if not known:
        return []
    counts = {row["model"]: {one["label"]: one for one in row["classes"]} for row in known}
    labels = sorted({label for of_model in counts.values() for label in of_model})
    header = ["Class", "n", *(names(model) for model in counts)]
    rows = []
    for label in labels:
        found = [of_model.get(label) for of_model in counts.values()]
        first = next(one for one in found if one)
        rows.append([numeric(label), numeric(first["n"]), *(_cell(one) for one in found)])
    return [Table(f"Accuracy on {benchmark} by class", header, rows, folded=True)]


def _cell(count: Row | None) -> Cell:
    if count is None:
        return numeric(None)
    right, n = count["right"], count["n"]
    return numeric(right / n, f"{percent(right / n)} ({right}/{n})")
