"""How sure the models are, and how sure they may be."""

from __future__ import annotations

from collections.abc import Sequence

from ..names import Names
from ..page import Cell, Plot, Table
from ..plots.reliability import reliability
from ..rows import Row
from ..values import numeric, percent, points

CAPTION = (
    "Reliability: share of right answers over confidence, one dot per bin, its area by the number of items; "
    "on the dashed line a model is right as often as it expects"
)


def calibration(benchmark: str, details: Sequence[Row], names: Names) -> list[Plot | Table]:
    """Return a reliability diagram for each model, and the bins behind them."""
    known = [row for row in details if row.get("calibration")]
    if not known:
        return []
    drawings = [reliability(names(row["model"]), row["calibration"]) for row in known]
    header = ["Model", "Confidence from", "to", "n", "Right", "Accuracy", "Mean confidence", "Gap"]
    rows = [_cells(names(row["model"]), row["model"], one) for row in known for one in row["calibration"]]
    return [
        Plot(f"{CAPTION}.", drawings, small=True),
        Table(f"Calibration bins on {benchmark}", header, rows, folded=True),
    ]


def _cells(name: str, model: str, one: Row) -> list[Cell]:
    accuracy = one["right"] / one["n"]
    gap = accuracy - one["confidence"]
    return [
        Cell(name, hint=model),
        numeric(one["low"], percent(one["low"])),
        numeric(one["high"], percent(one["high"])),
        numeric(one["n"]),
        numeric(one["right"]),
        numeric(accuracy, percent(accuracy)),
        numeric(one["confidence"], percent(one["confidence"])),
        numeric(gap, points(gap)),
    ]
