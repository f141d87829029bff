"""What noise, blur, weather and compression do to the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..names import Names
from ..page import Cell, Plot, Section, Table
from ..plots.bars import Bar, bars
from ..rows import Row, benchmarks_of, corrupted_of, main_rows, rows_of
from ..values import metric_cell, number, numeric, title_of

TEXT = (
    "Mean corruption error: the errors under corruption over those of the reference, as a mean over corruptions "
    "(Hendrycks and Dietterich 2019). Less is better, 1 is as bad as the reference."
)


def corruption(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return mean corruption errors, the errors by corruption, and the values on every corrupted benchmark."""
    rows, results = rows_of(report, "corruption"), rows_of(report, "results")
    corrupted = corrupted_of(results)
    if not rows and not corrupted:
        return []
    header = ["Model", "Mean error", "Reference", "Benchmark"]
    groups = [[row for row in rows if row["benchmark"] == one] for one in benchmarks_of(rows)]
    blocks: list[Plot | Table] = [_plot(group, names) for group in groups]
    if rows:
        blocks.append(Table("Mean corruption error", header, [_cells(row, names) for row in rows]))
    blocks += [_errors(group, names) for group in groups]
    blocks += [_values(results, corrupted, clean, names) for clean in dict.fromkeys(corrupted.values())]
    return [Section("Corruptions", [TEXT] if rows else [], blocks)]


def _values(results: Sequence[Row], corrupted: Mapping[str, str], clean: str, names: Names) -> Table:
    """Return the main metric of every model under every corruption and severity."""
    laid = [name for name, of in corrupted.items() if of == clean]
    metric = main_rows(results, laid[0])[0]["metric"]
    values = {(row["benchmark"], row["model"]): row["value"] for row in results if row["metric"] == metric}
    models = list(dict.fromkeys(row["model"] for row in results if row["benchmark"] in laid))
    rows = []
    for name in laid:
        _, kind, severity = name.rsplit("/", 2)
        cells = [metric_cell(values.get((name, model)), metric) for model in models]
        rows.append([Cell(title_of(kind)), numeric(int(severity)), *cells])
    caption = f"{title_of(metric)} on {clean} by corruption and severity"
    return Table(caption, ["Corruption", "Severity", *map(names, models)], rows, folded=True)


def _plot(rows: list[Row], names: Names) -> Plot:
    shown = [
        Bar(names(row["model"]), row["mean_corruption_error"], number(row["mean_corruption_error"])) for row in rows
    ]
    title = f"Mean corruption error on {rows[0]['benchmark']}"
    caption = f"{title}; the line is the reference, {names(rows[0]['reference'])}"
    return Plot(caption, [bars(title, shown, "mean corruption error, less is better", mark=1.0)])


def _cells(row: Row, names: Names) -> list[Cell]:
    model, reference = row["model"], row["reference"]
    error = numeric(row["mean_corruption_error"])
    return [Cell(names(model), hint=model), error, Cell(names(reference), hint=reference), Cell(row["benchmark"])]


def _errors(rows: list[Row], names: Names) -> Table:
    kinds = dict.fromkeys(kind for row in rows for kind in row["errors"])
    header = ["Corruption", *(names(row["model"]) for row in rows)]
    cells = [[Cell(title_of(kind)), *(numeric(row["errors"].get(kind)) for row in rows)] for kind in kinds]
    return Table(
        f"Errors on {rows[0]['benchmark']} by corruption, relative to the reference", header, cells, folded=True
    )
