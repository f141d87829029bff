"""Coefficients of task vectors that were learned: how, what they came to, and what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..names import Names
from ..page import Cell, Plot, Section, Table
from ..plots.lines import Line, lines
from ..rows import Row
from ..values import listed, metric_cell, metric_value, number, numeric, range_cell, title_of

MOST_OPEN = 30  # rows of a table that is open from the start
KEY = "coefficients"


def scaling(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return the candidates, the losses on the way, and the coefficients by task vector and tensor."""
    files = [row for row in (report.get("statistics") or {}).get("files") or () if KEY in row["about"]]
    if not files:
        return []
    about = files[0]["about"]
    blocks: list[Plot | Table] = [*_history(about), _candidates(about["learning"]), _coefficients(files)]
    return [Section("Learned scaling of task vectors", [_about(about), *_spread(files)], blocks)]


def _about(about: Row) -> str:
    options, learning = about["options"], about["learning"]
    each = "each task vector and tensor" if options["per"] == "tensor" else "each task vector"
    parts = f", and {options['partitions']} random parts of it," if options["partitions"] > 1 else ""
    sets = listed([f"{one['name']} ({one['number']} items)" for one in learning["validation"]])
    losses = learning["history"]
    seen = f", {learning['seen']} of which were learned from too" if learning.get("seen") else ""
    data = f"{about['data']['name']} ({about['data']['number']} items)"
    return (
        f"One coefficient for {each}{parts} was learned on {data} by "
        f"{options['preset']}, objective {options['objective']}, in {len(losses)} steps; the loss went from "
        f"{number(losses[0])} to {number(losses[-1])}. Candidates were compared on {sets}{seen}: {learning['outcome']}."
    )


def _spread(files: Sequence[Row]) -> list[str]:
    """Say for every task vector between which numbers its coefficients lie."""
    told = []
    for row in files:
        values = [value for own in row["about"][KEY].values() for value in own]
        mean = sum(values) / len(values)
        told.append(f"{_model(row)} {number(mean)} (from {number(min(values))} to {number(max(values))})")
    return [f"Mean coefficient of {listed(told)}."]


def _model(row: Row) -> str:
    """Return the model that a file is about, such as ``model 1``."""
    return str(row["role"]).removeprefix(f"{KEY} of ")


def _history(about: Row) -> list[Plot]:
    losses = about["learning"]["history"]
    if len(losses) < 2:
        return []
    line = Line("loss", [(float(step), loss) for step, loss in enumerate(losses)], dots=False)
    title = f"Loss ({about['options']['objective']}), summed over the data, step by step"
    return [Plot(title, [lines(title, [line], "step", "Loss, nats")])]


def _candidates(learning: Row) -> Table:
    metric, trials = learning["metric"], learning["trials"]
    tasks = [one["name"] for one in learning["validation"]]
    several = tasks if len(tasks) > 1 else []
    rows = [
        [
            Cell(trial["candidate"]),
            metric_cell(trial["score"], metric, strong=trial["candidate"] == learning["best"]),
            range_cell(trial.get("interval"), metric),
            numeric(trial["n"]),
            numeric(trial["loss"]),
            *(Cell(metric_value(one["value"], metric), one["value"]) for one in trial["tasks"][: len(several)]),
        ]
        for trial in trials
    ]
    header = ["Candidate", title_of(metric), "95 % interval", "n", "Loss", *several]
    return Table("Candidates: zero is the base", header, rows, folded=len(rows) > MOST_OPEN)


def _coefficients(files: Sequence[Row]) -> Table:
    """Return the coefficients of every tensor, by the names of the first model; of several parts, mean and range."""
    columns = [list(row["about"][KEY].values()) for row in files]
    tensors = list(files[0]["about"][KEY])
    rows = [[Cell(name), *map(_cell, own)] for name, own in zip(tensors, zip(*columns, strict=True), strict=True)]
    header = ["Tensor", *map(_model, files)]
    return Table("Coefficients of every tensor", header, rows, folded=len(rows) > MOST_OPEN)


def _cell(values: Sequence[float]) -> Cell:
    mean = sum(values) / len(values)
    text = number(mean) if len(values) == 1 else f"{number(mean)} ({number(min(values))} to {number(max(values))})"
    return Cell(text, mean)
