"""A merge that learned from data: its statistics files, and what became of every tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..names import Names
from ..page import Cell, Section, Table, words
from ..rows import Row
from ..values import listed, number, numeric, percent, text_of

MOST_OPEN = 30  # rows of a table that is open from the start
HEADER = ["Tensor", "Treatment", "Rows of data", "Condition", "Ridge", "Off-diagonal factor"]


def statistics(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return what was computed from which data, and the ledger."""
    found = report.get("statistics")
    if not found:
        return _measured(report.get("measured"), names)
    counts = ", ".join(f"{count} {treatment}" for treatment, count in found["counts"].items())
    rows = [_tensor(row) for row in found["tensors"]]
    tables = [_files(found["files"]), Table("Every tensor", HEADER, rows, folded=len(rows) > MOST_OPEN)]
    return [Section("Learned from data", [f"Of {len(rows)} tensors: {counts}."], tables)]


def _measured(found: Row | None, names: Names) -> list[Section]:
    """Return what a model was adjusted by after its merge."""
    if not found:
        return []
    counts = ", ".join(f"{count} {what}" for what, count in found["layers"].items())
    file = {"role": found["kind"], "file": found["file"], "about": found["about"]}
    return [Section("Measured on data", [f"Layers: {counts}.", *_goal(found["about"], names)], [_files([file])])]


def _goal(about: Row, names: Names) -> list[str]:
    """Say which models' activations an average was brought back to."""
    if not about.get("toward"):
        return []
    models = [names(model["model"]) for model in about["toward"]]
    shares = about.get("shares") or [1 / len(models)] * len(models)
    told = listed([f"{model} ({percent(share)})" for model, share in zip(models, shares, strict=True)])
    largest = f"; the largest factor is {number(about['largest_factor'])}" if "largest_factor" in about else ""
    return [f"Means and standard deviations were brought to the average of {told}{largest}."]


def _files(files: list[Row]) -> Table:
    header = ["Statistics", "File", "Data", "Items", "Seed", "Options"]
    return Table("Statistics files", header, [_file(row) for row in files])


def _file(row: Row) -> list[Cell]:
    about = row["about"]
    data = about.get("data") or {}
    data = {"name": data} if isinstance(data, str) else data
    options = (about.get("options") or {}) | ({"labels": about["labels"]} if "labels" in about else {})
    texts = [row["role"], row["file"], data.get("name", ""), data.get("number", ""), about.get("seed", "")]
    return words([*map(text_of, texts), ", ".join(f"{name} {text_of(value)}" for name, value in options.items())])


def _tensor(row: Row) -> list[Cell]:
    treatment = row["treatment"] + (f": {row['why']}" if row["why"] else "")
    numbers = (row.get("rows"), row.get("condition"), row.get("ridge"), row.get("off_diagonal"))
    return [Cell(row["tensor"]), Cell(treatment), *(Cell("") if one is None else numeric(one) for one in numbers)]
