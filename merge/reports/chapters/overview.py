"""Several benchmarks side by side: every model's main metric, and its mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..names import Names
from ..page import Cell, Plot, Section, Table
from ..plots.intervals import Interval, intervals
from ..rows import Row, benchmarks_of, best_value, clean_rows, main_rows, rows_of
from ..values import metric_cell, metric_range, metric_value, range_cell, title_of

TEXT = (
    "The main metric of every model on every benchmark; the best model of each benchmark is bold. "
    "Averages count every benchmark once, whatever its size; their intervals add up those of the benchmarks in squares."
)


def overview(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return the models by benchmarks, where there is more than one benchmark, and the averages."""
    results = clean_rows(rows_of(report, "results"))
    benchmarks = benchmarks_of(results)
    if len(benchmarks) < 2:
        return []
    plots = [_plot(rows, names) for rows in _by_metric(rows_of(report, "averages"))]
    return [Section("Overview", [TEXT], [*plots, _matrix(results, benchmarks, names), *_averages(report, names)])]


def _matrix(results: Sequence[Row], benchmarks: Sequence[str], names: Names) -> Table:
    """Return models by benchmarks, or the other way round where there are more benchmarks than models."""
    columns = [main_rows(results, benchmark) for benchmark in benchmarks]
    heads = [f"{name}: {title_of(rows[0]['metric']).lower()}" for name, rows in zip(benchmarks, columns, strict=True)]
    models = list(dict.fromkeys(row["model"] for row in results))
    cells = [[_one(model, column) for column in columns] for model in models]
    caption = "Main metric by model and benchmark"
    if len(benchmarks) > len(models):
        turned = [[Cell(head), *column] for head, column in zip(heads, zip(*cells, strict=True), strict=True)]
        return Table(caption, ["Benchmark", *map(names, models)], turned)
    rows = [[Cell(names(model), hint=model), *of_model] for model, of_model in zip(models, cells, strict=True)]
    return Table(caption, ["Model", *heads], rows)


def _one(model: str, column: list[Row]) -> Cell:
    best = best_value(column)
    for row in column:
        if row["model"] == model:
            return metric_cell(row["value"], row["metric"], strong=row["value"] == best)
    return metric_cell(None, "")


def _by_metric(averages: Any) -> list[list[Row]]:
    metrics = dict.fromkeys(row["metric"] for row in averages)
    return [[row for row in averages if row["metric"] == metric] for metric in metrics][:1]


def _plot(rows: list[Row], names: Names) -> Plot:
    metric = rows[0]["metric"]
    title = f"{title_of(metric)}, mean over benchmarks"
    best = best_value(rows)
    shown = [_interval(row, names, best) for row in rows]
    return Plot(f"{title}, with 95 % intervals", [intervals(title, shown, f"{title_of(metric)}, %", 100, bound=True)])


def _interval(row: Row, names: Names, best: float | None) -> Interval:
    metric = row["metric"]
    text = f"{metric_value(row['value'], metric)}  ({metric_range(row['interval'], metric)})"
    return Interval(
        names(row["model"]), row["value"], row["interval"][0], row["interval"][1], text, row["value"] == best
    )


def _averages(report: Mapping[str, Any], names: Names) -> list[Table]:
    averages = rows_of(report, "averages")
    if not averages:
        return []
    header = ["Model", "Metric", "Mean", "95 % interval", "Benchmarks"]
    rows = [
        [
            Cell(names(row["model"]), hint=row["model"]),
            Cell(title_of(row["metric"])),
            metric_cell(row["value"], row["metric"]),
            range_cell(row["interval"], row["metric"]),
            Cell(str(len(row["benchmarks"])), len(row["benchmarks"]), hint=", ".join(row["benchmarks"])),
        ]
        for row in averages
    ]
    return [Table("Averages over benchmarks", header, rows)]
