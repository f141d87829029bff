"""Barriers of single layers: which of them stand in the way when it moves alone?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..page import Cell, Plot, Table
from ..plots.bars import Bar, bars
from ..rows import Row
from ..values import is_share, metric_cell, metric_difference, numeric, range_cell, title_of

_HEADER = ["Layer", "Barrier", "at λ", "Worse than A halfway", "Halfway", "95 % interval", "With B's layer"]


def layer_barriers(found: Mapping[str, Any]) -> list[Plot | Table]:
    """Return the layers' barriers, and how much worse A becomes halfway, for every line, benchmark and metric."""
    blocks: list[Plot | Table] = []
    layers = found["layers"]
    kinds = dict.fromkeys((row["line"], row["benchmark"], metric) for row in layers for metric in row["worse"])
    several = len({line for line, *_ in kinds}) > 1
    for line, benchmark, metric in kinds:
        rows = [
            row for row in layers if (row["line"], row["benchmark"]) == (line, benchmark) and metric in row["worse"]
        ]
        what = f"{title_of(metric)} on {benchmark}{f' ({line})' if several else ''}, one layer alone moving from A to B"
        blocks += _blocks(rows, metric, what, found["definition"])
    return blocks


def _blocks(rows: Sequence[Row], metric: str, what: str, definition: str) -> list[Plot | Table]:
    factor, unit = (100, ", points") if is_share(metric) else (1, "")
    heights = [(row, _barrier(row, metric, definition)) for row in rows]
    barrier, worse = f"{what}: barrier ({definition})", f"{what}: how much worse than A halfway"
    shown = [Bar(row["layer"], one["value"], metric_difference(one["value"], metric)) for row, one in heights]
    halfway = [Bar(row["layer"], row["worse"][metric], _difference(row, metric).text) for row in rows]
    drawn = [bars(barrier, shown, f"barrier{unit}", factor), bars(worse, halfway, f"worse{unit}", factor)]
    plot = Plot(f"{what}: barrier ({definition}), and how much worse than A it is halfway", drawn, small=True)
    cells = [_cells(row, one, metric) for row, one in heights]
    return [plot, Table(f"{what}, as a table", _HEADER, cells, folded=True)]


def _cells(row: Row, barrier: Row, metric: str) -> list[Cell]:
    halfway, last = row["metrics"][metric], row["points"][-1]["metrics"][metric]
    return [
        Cell(row["layer"]),
        numeric(barrier["value"], metric_difference(barrier["value"], metric)),
        numeric(barrier["at"]),
        _difference(row, metric),
        metric_cell(halfway["value"], metric),
        range_cell(halfway["interval"], metric),
        metric_cell(last["value"], metric),
    ]


def _barrier(row: Row, metric: str, definition: str) -> Row:
    return next(one for one in row["barriers"] if (one["metric"], one["definition"]) == (metric, definition))


def _difference(row: Row, metric: str) -> Cell:
    return numeric(row["worse"][metric], metric_difference(row["worse"][metric], metric))
