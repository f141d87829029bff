"""An evaluation as plain text for a terminal: narrow, one line a number that one would look for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from ..errors import printable

if TYPE_CHECKING:
    from ..reports.names import Names
    from .results import AverageRow, ComparisonRow, CorruptionRow, Evaluation, ResultRow, RetentionRow

LEFT_ALIGNED = 3  # the columns of names; numbers go to the right
MOST_IN_FULL = 3  # models; with more, only the main metric of each is listed


def render_table(evaluation: Evaluation) -> str:
    """Return the results, and what was derived from them, as aligned columns, without a newline at the end.

    Of a benchmark under many corruptions the clean one and its mean corruption error are shown.
    """
    from ..reports.names import Names
    from ..reports.rows import corrupted_of

    short = Names([row["model"] for row in evaluation.results])
    corrupted = corrupted_of(evaluation.results)
    compared = [row for row in evaluation.comparisons if row["benchmark"] not in corrupted]
    parts = [
        _results(evaluation.results, corrupted, short),
        _table("benchmark,model,against,difference,p,p (Holm)", [_comparison(row, short) for row in compared]),
        _table("average of,model,metric,mean,95 % interval", [_average(row, short) for row in evaluation.averages]),
        _table("benchmark,model,expert,kept,95 % interval", [_retention(row, short) for row in evaluation.retention]),
        _table("corrupted,model,against,mean error", [_corruption(row, short) for row in evaluation.corruption]),
        "\n".join(f"note: {printable(note)}" for note in evaluation.notes if not note.startswith(tuple(corrupted))),
    ]
    return "\n\n".join(part for part in parts if part)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Align cells: the first three columns to the left, the others to the right."""
    rows = [[printable(cell) for cell in row] for row in rows]  # names may hold anything
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _table(header: str, rows: list[list[str]]) -> str:
    return columns([header.split(","), *rows]) if rows else ""


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.ljust(width) if index < LEFT_ALIGNED else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _results(rows: Sequence[ResultRow], corrupted: Collection[str], short: Names) -> str:
    """List all values of few models, or the main ones of many."""
    shown = [row for row in rows if row["benchmark"] not in corrupted]
    if len({row["model"] for row in rows}) > MOST_IN_FULL:
        main: dict[str, str] = {}
        for row in shown:
            main.setdefault(row["benchmark"], row["metric"])
        shown = [row for row in shown if row["metric"] == main[row["benchmark"]]]
    text = _table("benchmark,model,metric,value,95 % interval,n", [_result(row, short) for row in shown])
    hidden = len(rows) - len(shown)
    return f"{text}\n{hidden} more values: with --report DIR or --json" if hidden else text


def _result(row: ResultRow, short: Names) -> list[str]:
    numbers = [f"{row['value']:.4f}", _interval(row["interval"]), str(row["n"])]
    return [row["benchmark"], short(row["model"]), row["metric"], *numbers]


def _comparison(row: ComparisonRow, short: Names) -> list[str]:
    from ..reports.values import unit_of

    p_values = [f"{row['p_value']:.3g}", f"{row['p_value_holm']:.3g}"]
    difference = f"{row['difference']:+.4f}{unit_of(row['metric'])}"
    return [row["benchmark"], short(row["model"]), short(row["reference"]), difference, *p_values]


def _average(row: AverageRow, short: Names) -> list[str]:
    counted = f"{len(row['benchmarks'])} benchmarks"
    return [counted, short(row["model"]), row["metric"], f"{row['value']:.4f}", _interval(row["interval"])]


def _retention(row: RetentionRow, short: Names) -> list[str]:
    named = [row["benchmark"], short(row["model"]), short(row["expert"])]
    return [*named, f"{row['value']:.4f}", _interval(row["interval"])]


def _corruption(row: CorruptionRow, short: Names) -> list[str]:
    named = [row["benchmark"], short(row["model"]), short(row["reference"])]
    return [*named, f"{row['mean_corruption_error']:.4f}"]


def _interval(ends: Sequence[float]) -> str:
    return f"[{ends[0]:.4f}, {ends[1]:.4f}]"
