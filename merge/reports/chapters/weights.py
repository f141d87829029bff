"""How much of each model went in: weights that were given, and weights that were learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..names import Names
from ..page import Cell, Plot, Section, Table
from ..plots.bars import Bar, bars
from ..plots.lines import Line, lines
from ..rows import Row, rows_of
from ..values import number, numeric


def weights(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return the weights of the merge, unless those that were learned show the same."""
    rows = rows_of(report, "weights")
    if rows == (report.get("learned") or {}).get("weights"):
        return []
    return [Section("Weights", blocks=_weights("Weight of each model in the merge", rows, names))] if rows else []


def learned(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return what a learned soup came to."""
    found = report.get("learned")
    if not found:
        return []
    blocks = [*_weights("Learned weight of each model", found.get("weights") or (), names), *_history(found)]
    return [Section("Learned soup", [_about(found)], blocks)]


def _about(found: Row) -> str:
    each = "one weight per model and tensor" if found["by_tensor"] else "one weight per model"
    text = (
        f"Learned on {found['benchmark']} (split {found['split']}): {each}, {found['epochs']} epochs with "
        f"learning rate {number(found['learning_rate'])}. The loss there went from {number(found['loss_before'])} to "
        f"{number(found['loss_after'])}"
    )
    temperature = found.get("temperature")
    return f"{text}; the temperature is {number(temperature)}." if temperature is not None else f"{text}."


def _weights(title: str, rows: Sequence[Row], names: Names) -> list[Plot | Table]:
    if not rows:
        return []
    shown = [Bar(names(row["model"]), row["weight"], number(row["weight"])) for row in rows]
    cells = [[Cell(names(row["model"]), hint=row["model"]), numeric(row["weight"])] for row in rows]
    return [
        Plot(title, [bars(title, shown, "weight")]),
        Table(f"{title}, as a table", ["Model", "Weight"], cells, folded=True),
    ]


def _history(found: Row) -> list[Plot]:
    losses = found.get("history") or ()
    if len(losses) < 2:
        return []
    line = Line("loss", [(float(step), loss) for step, loss in enumerate(losses)], dots=False)
    title = f"Loss of the learned soup on {found['benchmark']}"
    return [Plot(f"{title}, step by step", [lines(title, [line], "step", "Loss, nats")])]
