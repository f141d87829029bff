"""How much of each expert a merged model keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..names import Names
from ..page import Cell, Plot, Section, Table
from ..plots.bars import Bar, bars
from ..rows import Row, benchmarks_of, rows_of
from ..values import numeric, percent, range_cell, title_of

TEXT = "A model's value over that of the benchmark's own expert, on the same items: 100 % keeps all of it."


def retention(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return bars per benchmark, and the table."""
    rows = rows_of(report, "retention")
    if not rows:
        return []
    plots = [_plot([row for row in rows if row["benchmark"] == one], names) for one in benchmarks_of(rows)]
    header = ["Benchmark", "Model", "Expert", "Metric", "Kept", "95 % interval"]
    return [Section("Retention", [TEXT], [*plots, Table("Retention", header, [_cells(row, names) for row in rows])])]


def _plot(rows: list[Row], names: Names) -> Plot:
    expert, benchmark = names(rows[0]["expert"]), rows[0]["benchmark"]
    shown = [Bar(names(row["model"]), row["value"], percent(row["value"]), row["interval"]) for row in rows]
    title = f"Share of {expert} that is kept on {benchmark}"
    return Plot(f"{title}, with 95 % intervals", [bars(title, shown, "kept, %", 100, mark=1.0)])


def _cells(row: Row, names: Names) -> list[Cell]:
    return [
        Cell(row["benchmark"]),
        Cell(names(row["model"]), hint=row["model"]),
        Cell(names(row["expert"]), hint=row["expert"]),
        Cell(title_of(row["metric"])),
        numeric(row["value"], percent(row["value"])),
        range_cell(row["interval"], "accuracy"),
    ]
