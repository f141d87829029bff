"""Is the difference real? Every model against the first one, on the same items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..names import Names
from ..page import Cell, Section, Table
from ..rows import Row, rows_of
from ..values import metric_difference, numeric

SIGNIFICANT = 0.05
MOST_OPEN = 30  # rows of a table that is open from the start
TEXT = (
    "Every model against the first one named, on the same items. p is two-sided and of one pair alone; p (Holm) is "
    f"corrected for all {{count}} comparisons of this report. Differences with p (Holm) below {SIGNIFICANT:g} are bold."
)


def comparisons(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return the paired tests."""
    rows = rows_of(report, "comparisons")
    if not rows:
        return []
    references = dict.fromkeys(row["reference"] for row in rows)
    against = f" against {names(rows[0]['reference'])}" if len(references) == 1 else ""
    header = ["Model", "Benchmark", "Difference", "p (Holm)", "p", "Only model right", "Only other right", "n", "Test"]
    table = Table(f"Paired tests{against}", header, [_cells(row, names) for row in rows], folded=len(rows) > MOST_OPEN)
    return [Section("Comparisons", [TEXT.format(count=len(rows))], [table])]


def _cells(row: Row, names: Names) -> list[Cell]:
    strong = row["p_value_holm"] < SIGNIFICANT
    return [
        Cell(names(row["model"]), hint=row["model"]),
        Cell(row["benchmark"]),
        numeric(row["difference"], metric_difference(row["difference"], row["metric"]), strong=strong),
        numeric(row["p_value_holm"], f"{row['p_value_holm']:.3g}", strong=strong),
        numeric(row["p_value"], f"{row['p_value']:.3g}"),
        numeric(row["only_model_right"]),
        numeric(row["only_reference_right"]),
        numeric(row["n"]),
        Cell(row["test"]),
    ]
