"""Three and more models that were brought into one common order: how that converged, and how far apart they are."""

from __future__ import annotations

from collections.abc import Sequence

from ..page import Cell, Plot, Table
from ..plots.lines import Line, lines
from ..rows import Row
from ..values import number, numeric

MOST_OPEN = 12  # rounds of a table that is open from the start
WAYS = {
    "reference": "each was matched to the first",
    "medoid": "all were matched to the medoid, the one with the smallest sum of distances to the others",
    "mean": "each was matched in turn to the mean of the others (MergeMany)",
    "universe": "all were matched at once to a universe (C2M3), so that the orders of any three models agree",
}
TITLE = "Inner products of all pairs of models, round by round"


def many_models(found: Row) -> tuple[str, list[Table | Plot]]:
    """Return what is said of several models, and the tables and the plot.

    Args:
        found: What `merge.alignment.matching.convergence.ManyReport` says.
    """
    medoid = f"; that is model {found['medoid']}" if found.get("medoid") else ""
    text = f"Of {len(found['distances_after'])} models, {WAYS[found['way']]}{medoid}."
    return text, [_distances(found), *(_rounds(found["rounds"]) if found.get("rounds") else [])]


def _distances(found: Row) -> Table:
    before, after = found["distances_before"], found["distances_after"]
    header = ["Distance of the weights", *(f"to model {place}" for place in range(1, len(after) + 1))]
    rows = [
        [Cell(f"model {place}"), *(_cell(one, two) for one, two in zip(*pair, strict=True))]
        for place, pair in enumerate(zip(before, after, strict=True), 1)
    ]
    return Table("Distances of every pair, before ▸ after", header, rows)


def _cell(before: float, after: float) -> Cell:
    return Cell(f"{number(before)} ▸ {number(after)}", after) if before or after else Cell("-")


def _rounds(rounds: Sequence[Row]) -> list[Table | Plot]:
    points = [(float(place), row["objective"]) for place, row in enumerate(rounds)]
    drawn = lines(TITLE, [Line("inner products", points, dots=len(points) <= MOST_OPEN)], "round", "inner products")
    header = ["Round", "Stage", "Models changed", "Inner products of all pairs", "Distance to the mean"]
    rows = [
        [
            numeric(place),
            Cell(row["stage"]),
            *(numeric(row.get(part)) for part in ("changed", "objective", "distance")),
        ]
        for place, row in enumerate(rounds)
    ]
    return [Plot(TITLE, [drawn]), Table("Rounds", header, rows, folded=len(rows) > MOST_OPEN)]
