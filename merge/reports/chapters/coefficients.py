"""Weights that were searched on held-out data: all points, and the best of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..names import Names
from ..page import Cell, Plot, Section, Table
from ..plots.lines import Line, lines
from ..rows import Row
from ..values import is_share, listed, metric_cell, metric_value, number, numeric, range_cell, title_of


def coefficients(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return the scores of all points."""
    found = report.get("coefficients")
    if not found:
        return []
    plots = [_plot(found, names)] if len(found["models"]) == 2 else []
    return [Section("Search of the weights", [_about(found, names)], [*plots, _points(found, names)])]


def _about(found: Row, names: Names) -> str:
    best = [f"{number(row['weight'])} of {names(row['model'])}" for row in found["weights"]]
    drawn = f", drawn with seed {found['seed']}" if "seed" in found else ""
    text = (
        f"{len(found['points'])} weightings of the models{drawn} were merged and scored on {found['benchmark']} "
        f"(split {found['split']}). Best is {listed(best)}, with {metric_value(found['score'], found['metric'])}; "
        "among equals the first counts."
    )
    if "written" in found:
        text += f" As it was written, after rounding: {metric_value(found['written']['score'], found['metric'])}."
    failed = sum("failure" in point for point in found["points"])
    return f"{text} Points without a score: {failed}." if failed else text


def _plot(found: Row, names: Names) -> Plot:
    metric, scored = found["metric"], [point for point in found["points"] if point["score"] is not None]
    factor, unit = (100, ", %") if is_share(metric) else (1, "")
    line = Line(
        "score",
        [(point["weights"][1], point["score"]) for point in scored],
        band=[tuple(point["interval"]) for point in scored],
        dots=False,
    )
    best = next(point for point in scored if point["accepted"])
    dot = (best["weights"][1], best["score"], "series-2", f"best: {metric_value(best['score'], metric)}")
    title = f"{title_of(metric)} on {found['benchmark']} by the weight of {names(found['models'][1])}"
    drawn = lines(title, [line], "weight", title_of(metric) + unit, factor=factor, extra=[dot])
    return Plot(f"{title}, with 95 % intervals; the dot is the best", [drawn])


def _points(found: Row, names: Names) -> Table:
    metric = found["metric"]
    header = ["Point", *(f"Weight of {names(model)}" for model in found["models"]), title_of(metric), "95 % interval"]
    rows = [
        [
            numeric(place),
            *(numeric(weight) for weight in point["weights"]),
            metric_cell(point["score"], metric, strong=point["accepted"]),
            range_cell(point.get("interval"), metric),
            Cell("yes" if point["accepted"] else "no"),
        ]
        for place, point in enumerate(found["points"], start=1)
    ]
    return Table("All weightings", [*header, "Kept"], rows, folded=True)
