"""The greedy soup: which members were kept, and what each step gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..names import Names
from ..page import Cell, Plot, Section, Table
from ..plots.lines import Line, lines
from ..rows import Row
from ..values import is_share, listed, metric_cell, metric_value, number, numeric, range_cell, title_of


def greedy(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return the staircase, the steps and the members by themselves."""
    found = report.get("greedy")
    if not found or not found["steps"]:
        return []
    metric = found["metric"]
    blocks: list[Plot | Table] = [_plot(found, names), _steps(found, metric, names), _members(found, metric, names)]
    return [Section("Greedy soup", [_about(found, names)], blocks)]


def _about(found: Row, names: Names) -> str:
    rule = "at least as good as" if found["accept"] == "ge" else "better than"
    gain = f" by {number(found['minimum_gain'])}" if found["minimum_gain"] else ""
    kept = [names(model) for model in found["selected"]]
    return (
        f"Members were tried from the best to the worst on {found['benchmark']} (split {found['split']}). One is kept "
        f"where the soup with it is {rule} the best so far{gain}. Kept: {len(kept)} of {len(found['members'])}, "
        f"{listed(kept)}; the soup reaches {metric_value(found['score'], found['metric'])}."
        f"{_written(found)}{_reset(found)}"
    )


def _reset(found: Row) -> str:
    if "reset" not in found:
        return ""
    about = found["reset"]
    return (
        " Before every evaluation, and of the soup as it was written, BatchNorm statistics were measured anew on "
        f"{about['samples']} items of {about['data']} at most."
    )


def _written(found: Row) -> str:
    if "written" not in found:
        return ""
    return f" As it was written, after rounding: {metric_value(found['written']['score'], found['metric'])}."


def _plot(found: Row, names: Names) -> Plot:
    metric, steps = found["metric"], found["steps"]
    factor, unit = (100, ", %") if is_share(metric) else (1, "")
    first = steps[0]["best_before"]
    alone = [] if first is None else [(1.0, first, "series-1", f"{names(found['selected'][0])} alone")]
    dots = [*alone, *(_dot(place, step, metric, names) for place, step in enumerate(steps, start=1 + len(alone)))]
    best = [(1.0, first)] if alone else []
    for place, step in enumerate(steps, start=1 + len(alone)):
        best.append((float(place), step["score"] if step["accepted"] else best[-1][1] if best else step["score"]))
    title = f"Greedy soup: {title_of(metric).lower()} on {found['benchmark']}, step by step"
    drawn = lines(
        title,
        [Line("best so far", best, stepped=True, dots=False)],
        "models tried",
        title_of(metric) + unit,
        factor=factor,
        extra=dots,
        marks=[(place, f"{place:.0f}") for place, *_ in dots][:: 1 + len(dots) // 12],
    )
    return Plot(f"{title}. Full dots were kept, hollow ones left out; the line is the best so far.", [drawn])


def _dot(place: int, step: Row, metric: str, names: Names) -> tuple[float, float, str, str]:
    done, style = ("kept", "series-1") if step["accepted"] else ("left out", "series-1 hollow")
    return float(place), step["score"], style, f"{names(step['model'])}: {metric_value(step['score'], metric)}, {done}"


def _steps(found: Row, metric: str, names: Names) -> Table:
    header = ["Step", "Member tried", "Soup with it", "95 % interval", "Best before", "Kept"]
    rows = [
        [
            numeric(place),
            Cell(names(step["model"]), hint=step["model"]),
            metric_cell(step["score"], metric, strong=step["accepted"]),
            range_cell(step.get("interval"), metric),
            metric_cell(step["best_before"], metric),
            Cell("yes" if step["accepted"] else "no"),
        ]
        for place, step in enumerate(found["steps"], start=1 if found["steps"][0]["best_before"] is None else 2)
    ]
    return Table("Greedy soup, step by step", header, rows)


def _members(found: Row, metric: str, names: Names) -> Table:
    header = ["Rank", "Member", title_of(metric), "95 % interval", "n"]
    rows = [
        [
            numeric(member["rank"]),
            Cell(names(member["model"]), hint=member["model"]),
            metric_cell(member["score"], metric),
            range_cell(member.get("interval"), metric),
            numeric(member["n"]),
        ]
        for member in found["members"]
    ]
    return Table("Members by themselves, on the data of the selection", header, rows, folded=True)
