"""An evaluation as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .results import ComparisonRow, Evaluation, ResultRow

LEFT_ALIGNED = 3  # the columns of names; numbers go to the right


def render_table(evaluation: Evaluation) -> str:
    """Return the results and the comparisons as aligned columns, without a newline at the end."""
    header = ["benchmark", "model", "metric", "value", "95 % interval", "n"]
    text = columns([header, *(_result(row) for row in evaluation.results)])
    if not evaluation.comparisons:
        return text
    header = ["benchmark", "model", "against", "difference", "p (McNemar)", "p (Holm)"]
    return f"{text}\n\n{columns([header, *(_comparison(row) for row in evaluation.comparisons)])}"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Align cells: the first three columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.ljust(width) if index < LEFT_ALIGNED else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _result(row: ResultRow) -> list[str]:
    low, high = row["interval"]
    interval = f"[{low:.4f}, {high:.4f}]"
    return [row["benchmark"], row["model"], row["metric"], f"{row['value']:.4f}", interval, str(row["n"])]


def _comparison(row: ComparisonRow) -> list[str]:
    p_values = [f"{row['p_value']:.3g}", f"{row['p_value_holm']:.3g}"]
    return [row["benchmark"], row["model"], row["reference"], f"{row['difference']:+.4f}", *p_values]
