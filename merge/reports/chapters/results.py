"""Each benchmark: the main metric with its intervals, all metrics, and what stands behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..names import Names
from ..page import Cell, Plot, Section, Table
from ..plots.intervals import Interval, intervals
from ..rows import Row, benchmarks_of, best_value, clean_rows, main_rows, rows_of
from ..values import is_share, metric_cell, metric_range, metric_value, numeric, range_cell, title_of
from .calibration import calibration
from .classes import classes

MOST_OPEN = 6  # benchmarks whose sections are open from the start
DATA_USE = {
    "unlabeled": "inputs without labels were used besides the weights",
    "labels": "labelled data was used besides the weights",
    "held-out": "weights or options were chosen on held-out data",
}


def results(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return one section per benchmark."""
    rows = clean_rows(rows_of(report, "results"))
    benchmarks = benchmarks_of(rows)
    sections = [_benchmark(report, rows, name, names) for name in benchmarks]
    return [replace(section, folded=True) for section in sections] if len(benchmarks) > MOST_OPEN else sections


def _benchmark(report: Mapping[str, Any], rows: Sequence[Row], benchmark: str, names: Names) -> Section:
    shown = main_rows(rows, benchmark)
    details = [row for row in rows_of(report, "details") if row["benchmark"] == benchmark]
    others = [row for row in rows if row["benchmark"] == benchmark]
    blocks = [
        _plot(benchmark, shown, names),
        _main_table(benchmark, shown, names),
        _all_metrics(benchmark, others, names),
        *classes(benchmark, details, names),
        *calibration(benchmark, details, names),
    ]
    return Section(benchmark, [_about(shown), *_data_use(shown, names)], blocks)


def _about(rows: Sequence[Row]) -> str:
    counts = sorted({row["n"] for row in rows})
    items = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}"
    splits = ", ".join(sorted({row["split"] for row in rows}))
    return f"Split {splits}, {items}. Intervals are 95 % and cover the choice of test items, not of training runs."


def _data_use(rows: Sequence[Row], names: Names) -> list[str]:
    """Say for every model what it saw of data, where it saw any."""
    told = []
    for row in rows:
        uses = [use for use in str(row["data_use"]).split(", ") if use != "none"]
        if uses:
            told.append(f"{names(row['model'])}: {'; '.join(DATA_USE.get(use, use) for use in uses)}.")
    return told


def _plot(benchmark: str, rows: Sequence[Row], names: Names) -> Plot:
    metric = rows[0]["metric"]
    share, best = is_share(metric), best_value(rows)
    shown = [
        Interval(
            names(row["model"]), row["value"], row["interval"][0], row["interval"][1], _text(row), row["value"] == best
        )
        for row in rows
    ]
    axis = f"{title_of(metric)}, %" if share else title_of(metric)
    title = f"{title_of(metric)} on {benchmark}"
    drawn = intervals(title, shown, axis, 100 if share else 1, bound=share)
    return Plot(f"{title}, with 95 % intervals", [drawn])


def _text(row: Row) -> str:
    return f"{metric_value(row['value'], row['metric'])}  ({metric_range(row['interval'], row['metric'])})"


def _main_table(benchmark: str, rows: Sequence[Row], names: Names) -> Table:
    metric, best = rows[0]["metric"], best_value(rows)
    header = ["Model", title_of(metric), "95 % interval", "n", "Data used", "Seed"]
    cells = [
        [
            Cell(names(row["model"]), hint=row["model"], strong=row["value"] == best),
            metric_cell(row["value"], metric, strong=row["value"] == best),
            range_cell(row["interval"], metric),
            numeric(row["n"]),
            Cell(str(row["data_use"])),
            numeric(row["seed"]),
        ]
        for row in rows
    ]
    return Table(f"{title_of(metric)} on {benchmark}", header, cells)


def _all_metrics(benchmark: str, rows: Sequence[Row], names: Names) -> Table:
    header = ["Model", "Metric", "Value", "95 % interval", "n", "Head"]
    cells = [
        [
            Cell(names(row["model"]), hint=row["model"]),
            Cell(title_of(row["metric"])),
            metric_cell(row["value"], row["metric"]),
            range_cell(row["interval"], row["metric"]),
            numeric(row["n"]),
            Cell(str(row["head"])),
        ]
        for row in rows
    ]
    return Table(f"All metrics on {benchmark}", header, cells, folded=True)
