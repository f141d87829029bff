"""A search over options: all trials, and the best of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..names import Names
from ..page import Cell, Plot, Section, Table
from ..plots.lines import Line, lines
from ..plots.scatter import scatter
from ..plots.svg import series
from ..rows import Row
from ..values import is_share, listed, metric_cell, metric_value, number, numeric, title_of


def search(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return the scores over trials, the Pareto front of two benchmarks, and the trials."""
    found = report.get("search")
    if not found or not found.get("trials"):
        return []
    benchmarks = list(dict.fromkeys(name for trial in found["trials"] for name in trial["scores"]))
    plots = [*_history(found, benchmarks), *(_front(found, benchmarks) if len(benchmarks) == 2 else [])]
    return [Section("Search", [_about(found)], [*plots, _trials(found, benchmarks)])]


def _about(found: Row) -> str:
    best, metric = found["best"], found.get("metric", "")
    values = ", ".join(f"{name} {number(value)}" for name, value in best["values"].items())
    failed = sum("failure" in trial for trial in found["trials"])
    text = f"{len(found['trials'])} trials of {listed(found['parameters'])} by {found['sampler']}; "
    text += f"objective: {found['objective']}. "
    text += f"Best is trial {best['number']} with {metric_value(best['score'], metric)}: {values}."
    return f"{text} Trials that failed: {failed}." if failed else text


def _history(found: Row, benchmarks: Sequence[str]) -> list[Plot]:
    rows = []
    for place, name in enumerate(benchmarks):
        points = [(float(t["number"]), t["scores"][name]) for t in found["trials"] if t["scores"].get(name) is not None]
        if points:
            rows.append(Line(name, points, series(place)))
    if not rows:
        return []
    metric = found.get("metric", "score")
    title = f"{title_of(metric)} of all trials"
    factor, unit = (100, ", %") if is_share(metric) else (1, "")
    drawn = lines(title, rows, "trial", title_of(metric) + unit, factor=factor)
    return [Plot(title, [drawn], [(row.style, row.name) for row in rows])]


def _front(found: Row, benchmarks: Sequence[str]) -> list[Plot]:
    front, metric = set(found.get("pareto") or ()), found.get("metric", "")
    dots = []
    for trial in found["trials"]:
        one, two = (trial["scores"].get(name) for name in benchmarks)
        if one is not None and two is not None:
            hint = f"trial {trial['number']}: {metric_value(one, metric)} and {metric_value(two, metric)}"
            dots.append((one, two, "series-2" if trial["number"] in front else "series-1 hollow", hint))
    if not dots:
        return []
    title = "Both benchmarks against each other"
    unit, factor = (", %", 100) if is_share(metric) else ("", 1)
    drawn = scatter(title, dots, (benchmarks[0] + unit, benchmarks[1] + unit), factor)
    return [Plot(f"{title}; full dots are on the Pareto front: no trial is better on both", [drawn])]


def _trials(found: Row, benchmarks: Sequence[str]) -> Table:
    front, metric = set(found.get("pareto") or ()), found.get("metric", "")
    header = ["Trial", *found["parameters"], *(f"Score on {name}" for name in benchmarks), "Kept", "Pareto front"]
    rows = [
        [
            numeric(trial["number"]),
            *(numeric(trial["values"].get(name)) for name in found["parameters"]),
            *(metric_cell(trial["scores"].get(name), metric) for name in benchmarks),
            Cell("yes" if trial.get("accepted") else "no"),
            Cell("yes" if trial["number"] in front else "no"),
        ]
        for trial in found["trials"]
    ]
    return Table("All trials", header, rows, folded=len(rows) > 12)
