"""A sweep over one option: every benchmark's main metric against the option's values, and against parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..names import Names
from ..page import Cell, Plot, Section, Table
from ..plots.lines import Line, lines
from ..plots.svg import series
from ..rows import Row, benchmarks_of, clean_rows, main_rows, rows_of
from ..values import is_share, listed, metric_cell, numeric, range_cell, title_of

LEAST = 2  # points of a line
TEXT = "The same merge with {count} values of `{option}`; intervals are 95 % and cover the choice of test items."


def sweep(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return a line plot for each benchmark, and the numbers."""
    found = report.get("sweep")
    if not found or len(found["points"]) < LEAST:
        return []
    rows = clean_rows(rows_of(report, "results"))
    blocks: list[Plot | Table] = []
    for benchmark in benchmarks_of(rows):
        shown = {row["model"]: row for row in main_rows(rows, benchmark)}
        blocks += [*_plots(found, benchmark, shown, names), _table(found, benchmark, shown, names)]
    text = TEXT.format(count=len(found["points"]), option=found["option"])
    if known := [names(model) for model in found.get("references") or ()]:
        text += f" Dashed lines: {listed(known)}, which the merge was made from."
    return [Section(f"Sweep of {found['option']}", [text], blocks)]


def _plots(found: Row, benchmark: str, shown: Mapping[str, Row], names: Names) -> list[Plot]:
    places = [("value", str(found["option"]))]
    if len({point.get("parameters") for point in found["points"]}) > 1:
        places.append(("parameters", "parameters, millions"))
    return [_plot(found, benchmark, shown, names, *place) for place in places]


def _plot(found: Row, benchmark: str, shown: Mapping[str, Row], names: Names, key: str, axis: str) -> Plot:
    points = sorted((_place(point, key), shown[point["model"]]) for point in _scored(found, shown))
    metric = points[0][1]["metric"]
    curve = Line(
        f"{benchmark} by {found['option']}",
        [(place, row["value"]) for place, row in points],
        series(0),
        [(row["interval"][0], row["interval"][1]) for _, row in points],
    )
    ends = points[0][0], points[-1][0]
    flat = [
        Line(names(model), [(end, shown[model]["value"]) for end in ends], f"{series(1 + number)} dashed", dots=False)
        for number, model in enumerate(found.get("references") or ())
        if model in shown
    ]
    factor, unit = (100, ", %") if is_share(metric) else (1, "")
    title = f"{title_of(metric)} on {benchmark} against {axis.partition(',')[0]}"
    drawn = lines(title, [curve, *flat], axis, title_of(metric) + unit, factor=factor)
    return Plot(f"{title}, with 95 % intervals", [drawn], [(row.style, row.name) for row in [curve, *flat]])


def _place(point: Row, key: str) -> float:
    return float(point[key]) / (1e6 if key == "parameters" else 1)


def _scored(found: Row, shown: Mapping[str, Row]) -> list[Row]:
    return [point for point in found["points"] if point["model"] in shown]


def _table(found: Row, benchmark: str, shown: Mapping[str, Row], names: Names) -> Table:
    points: Sequence[Row] = _scored(found, shown)
    metric = shown[points[0]["model"]]["metric"]
    header = [str(found["option"]), "Model", title_of(metric), "95 % interval", "Parameters"]
    cells = [
        [
            numeric(point["value"]),
            Cell(names(point["model"]), hint=point["model"]),
            metric_cell(shown[point["model"]]["value"], metric),
            range_cell(shown[point["model"]]["interval"], metric),
            numeric(point.get("parameters"), f"{point['parameters']:,}" if "parameters" in point else None),
        ]
        for point in points
    ]
    return Table(f"{title_of(metric)} on {benchmark} by {found['option']}", header, cells)
