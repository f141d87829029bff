"""The path between two models: does the loss rise on the way, and does alignment flatten it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..names import Names
from ..page import Cell, Plot, Section, Table
from ..plots.lines import Line, lines
from ..plots.svg import series
from ..rows import Row
from ..values import is_share, metric_cell, metric_difference, numeric, range_cell, title_of
from .layer_barriers import layer_barriers

COLOURS = ("aligned", "naive", "aligned with reset", "naive with reset")
RESET = (
    'With "reset", every model on the line has its BatchNorm statistics measured anew, on {samples} items of {data} at '
    "most."
)
AVERAGED = (
    "On the line, {averaged} BatchNorm statistics are averaged and fit no model there, which alone looks like a "
    "barrier; merge barrier --reset-data draws a curve with statistics that are measured anew."
)
TEXT = (
    "Models (1 - λ) A + λ B, from A = {a} at λ = 0 to B = {b} at λ = 1. The barrier is how far the path is worse, at "
    "its worst place, than the straight line between its ends (linear), or than the mean of both ends (midpoint-mean)."
)


def barrier(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return the curves, both barrier numbers, and barriers by layer."""
    found = report.get("barrier")
    if not found or not found["curves"]:
        return []
    curves = found["curves"]
    metrics = list(dict.fromkeys(row["metric"] for curve in curves for row in curve["barriers"]))
    blocks: list[Plot | Table] = [_plot(curves, metric) for metric in metrics]
    blocks += [_barriers(curves), *layer_barriers(found), points_table(curves)]
    texts = [TEXT.format(a=names(found["a"]), b=names(found["b"]))]
    texts += [RESET.format(**found["reset"])] if "reset" in found else []
    texts += [AVERAGED.format(**found)] if found.get("averaged") else []
    return [Section("Barrier", texts, blocks)]


def curve_name(curve: Row) -> str:
    """Return what tells a curve apart: naive or aligned, with reset or without, benchmark and split."""
    return f"{curve['name']}, {curve['benchmark']} ({curve['split']})"


def _plot(curves: Sequence[Row], metric: str) -> Plot:
    benchmarks = list(dict.fromkeys((curve["benchmark"], curve["split"]) for curve in curves))
    rows = [
        line_of(curve, metric, benchmarks.index((curve["benchmark"], curve["split"])))
        for curve in curves
        if all(metric in point["metrics"] for point in curve["points"])
    ]
    factor, unit = (100, ", %") if is_share(metric) else (1, ", nats" if metric == "loss" else "")
    title = f"{title_of(metric)} between the models"
    drawn = lines(title, rows, "λ, from A to B", title_of(metric) + unit, factor=factor)
    return Plot(f"{title}; bands are 95 % intervals", [drawn], [(row.style, row.name) for row in rows])


def line_of(curve: Row, metric: str, benchmark: int) -> Line:
    """Return a curve: its kind by colour; the second benchmark is dashed, a third has other colours."""
    colour = series(min(COLOURS.index(curve["name"]), 2) + 3 * (benchmark // 2))
    points = [(point["position"], point["metrics"][metric]) for point in curve["points"]]
    return Line(
        curve_name(curve),
        [(place, one["value"]) for place, one in points],
        f"{colour} dashed" if benchmark % 2 else colour,
        [(one["interval"][0], one["interval"][1]) for _, one in points],
    )


def _barriers(curves: Sequence[Row]) -> Table:
    header = ["Curve", "Metric", "Definition", "Barrier", "at λ"]
    rows = [
        [
            Cell(curve_name(curve)),
            Cell(title_of(one["metric"])),
            Cell(one["definition"]),
            numeric(one["value"], metric_difference(one["value"], one["metric"])),
            numeric(one["at"]),
        ]
        for curve in curves
        for one in curve["barriers"]
    ]
    return Table("Barriers", header, rows)


def points_table(curves: Sequence[Row], caption: str = "All points of the curves") -> Table:
    """Return all points of curves."""
    header = ["Curve", "λ", "Metric", "Value", "95 % interval", "n"]
    rows = [
        [
            Cell(curve_name(curve)),
            numeric(point["position"]),
            Cell(title_of(metric)),
            metric_cell(one["value"], metric),
            range_cell(one["interval"], metric),
            numeric(one["n"]),
        ]
        for curve in curves
        for point in curve["points"]
        for metric, one in point["metrics"].items()
    ]
    return Table(caption, header, rows, folded=True)
