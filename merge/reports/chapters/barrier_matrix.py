"""The paths between every two of several models: do all of them lie in one basin?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..names import Names
from ..page import Cell, Plot, Section, Table
from ..plots.lines import lines
from ..plots.strips import Strip, strips
from ..rows import Row
from ..values import is_share, metric_difference, numeric, title_of
from .barrier import AVERAGED, RESET, line_of, points_table

TEXT = (
    "Models (1 - λ) A + λ B between every two of {count}: {models}. A barrier is how far a path is worse, at its worst "
    "place, than the straight line between its ends (linear), or than the mean of both ends (midpoint-mean)."
)
STRONG = "The aligned models have one order of units each, so that a barrier of 0 for every pair is one basin for all."
LEAST = 1e-9  # the full colour of a matrix without any barrier


def barrier_matrix(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return the matrices as heat maps and tables, and the curves of all pairs."""
    found = report.get("barrier_matrix")
    if not found or not found["pairs"]:
        return []
    short = [names(model) for model in found["models"]]
    shown = [one for one in found["matrices"] if one["definition"] == found["definition"]]
    kinds = dict.fromkeys((one["benchmark"], one["split"], one["metric"]) for one in shown)
    blocks: list[Plot | Table] = []
    for kind in kinds:
        same = [one for one in shown if (one["benchmark"], one["split"], one["metric"]) == kind]
        blocks += [_maps(same, short, found["definition"]), _curves(found["pairs"], kind, short)]
    blocks += [
        _table(found, short),
        points_table([_named(pair, short) for pair in found["pairs"]], "All points of every pair"),
    ]
    listed = ", ".join(f"{number} = {name}" for number, name in enumerate(short, start=1))
    texts = [TEXT.format(count=len(short), models=listed)]
    texts += [STRONG] if "aligned" in found else []
    texts += [RESET.format(**found["reset"])] if "reset" in found else []
    texts += [AVERAGED.format(**found)] if found.get("averaged") else []
    return [Section("Barriers of every pair", texts, blocks)]


def _maps(matrices: Sequence[Row], short: Sequence[str], definition: str) -> Plot:
    """Return one heat map for every kind of line, all with the same colours."""
    first = matrices[0]
    factor = 100 if is_share(first["metric"]) else 1
    largest = max([LEAST, *(abs(value) for one in matrices for row in one["values"] for value in row)])
    title = f"Barriers of the {title_of(first['metric']).lower()} on {first['benchmark']} ({first['split']})"
    drawings = []
    for one in matrices:
        rows = [
            Strip(name, [None if other == number else factor * value for other, value in enumerate(values)], bad=True)
            for number, (name, values) in enumerate(zip(short, one["values"], strict=True))
        ]
        drawings.append(
            strips(f"{title}: {one['name']}", rows, short, factor * largest, ".3f" if factor == 1 else ".1f")
        )
    kinds = ", ".join(one["name"] for one in matrices)
    return Plot(f"{title}, {definition}{', points' if factor == 100 else ''}: {kinds}", drawings, small=True)


def _curves(pairs: Sequence[Row], kind: tuple[str, str, str], short: Sequence[str]) -> Plot:
    """Return a small plot for every pair, with a line for each kind."""
    benchmark, split, metric = kind
    factor, unit = (100, ", %") if is_share(metric) else (1, ", nats" if metric == "loss" else "")
    own = [pair for pair in pairs if (pair["benchmark"], pair["split"]) == (benchmark, split)]
    drawings: list[str] = []
    legend: dict[str, str] = {}
    for first, second in dict.fromkeys((pair["first"], pair["second"]) for pair in own):
        rows = [line_of(pair, metric, 0) for pair in own if (pair["first"], pair["second"]) == (first, second)]
        legend |= {line.style: line.name for line in rows}
        title = f"{title_of(metric)}, {short[first]} to {short[second]}"
        drawings.append(
            lines(title, rows, f"λ, from {short[first]} to {short[second]}", title_of(metric) + unit, factor=factor)
        )
    return Plot(
        f"{title_of(metric)} on {benchmark} ({split}) between every two models", drawings, [*legend.items()], small=True
    )


def _table(found: Row, short: Sequence[str]) -> Table:
    """Return every pair's barriers, the kinds of lines side by side."""
    kinds = list(dict.fromkeys(pair["name"] for pair in found["pairs"]))
    heights: dict[tuple[str, ...], dict[str, float]] = {}
    for pair in found["pairs"]:
        ends, data = (short[pair["first"]], short[pair["second"]]), f"{pair['benchmark']} ({pair['split']})"
        for row in pair["barriers"]:
            heights.setdefault((*ends, data, row["metric"], row["definition"]), {})[pair["name"]] = row["value"]
    rows = [
        [
            *map(Cell, (first, second, data, title_of(metric), definition)),
            *(numeric(values[kind], metric_difference(values[kind], metric)) for kind in kinds),
        ]
        for (first, second, data, metric, definition), values in heights.items()
    ]
    return Table("Barriers of every pair", ["A", "B", "Benchmark", "Metric", "Definition", *kinds], rows)


def _named(pair: Row, short: Sequence[str]) -> Row:
    """Return a pair's curve under a name that tells the pair."""
    return {**pair, "name": f"{short[pair['first']]} to {short[pair['second']]}, {pair['name']}"}
