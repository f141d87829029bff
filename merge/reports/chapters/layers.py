"""What happened where: norms, angles and conflicts by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..names import Names
from ..page import Cell, Plot, Section, Table
from ..plots.strips import Strip, strips
from ..rows import Row, rows_of
from ..values import numeric, percent

MOST_PAIRS = 10  # strips of single pairs; with more, each model's mean over its pairs
TEXT = (
    "How far each model is from {origin}, layer by layer, from the first on the left to the last on the right. "
    "Cosines tell whether two models moved in the same direction (1), in unrelated ones (0) or against each other "
    "(-1). A conflict is an entry that at least two models moved, not all of them to the same side."
)
AROUND_OUTPUT = (
    "There is no base here. Around the output the models differ to opposite sides by construction: cosines are below 0 "
    "even for models that have nothing in common, and sign conflicts are not counted."
)


def layers(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return heat maps of norms, cosines and conflicts, and the numbers."""
    rows = rows_of(report, "layers")
    if not rows:
        return []
    plots = [_norms(rows, names), *_cosines(rows, names), *_conflicts(rows)]
    origin = report.get("layers_measured_from", "the base")
    texts = [TEXT.format(origin=origin), *([AROUND_OUTPUT] if origin == "the output" else [])]
    return [Section("Layers", texts, [*plots, *_tables(rows, names)])]


def _norms(rows: Sequence[Row], names: Names) -> Plot:
    models = list(rows[0]["norms"])
    largest = max((value for row in rows for value in row["norms"].values() if value is not None), default=0) or 1.0
    shown = [Strip(names(model), [row["norms"].get(model) for row in rows]) for model in models]
    title = "Distance by layer"
    return Plot(
        f"{title}: norm of the difference, the largest in full colour",
        [strips(title, shown, _layer_names(rows), largest)],
    )


def _cosines(rows: Sequence[Row], names: Names) -> list[Plot]:
    pairs = [(one["a"], one["b"]) for one in rows[0]["cosines"]]
    if not pairs:
        return []
    by_layer = [{(one["a"], one["b"]): one["value"] for one in row["cosines"]} for row in rows]
    if len(pairs) <= MOST_PAIRS:
        shown = [Strip(f"{names(a)} · {names(b)}", [values.get((a, b)) for values in by_layer]) for a, b in pairs]
        title = "Cosines by layer"
    else:
        models = dict.fromkeys(model for pair in pairs for model in pair)
        shown = [Strip(names(model), [_mean(values, model) for values in by_layer]) for model in models]
        title = "Cosines by layer, each model's mean over its pairs"
    return [Plot(title, [strips(title, shown, _layer_names(rows), 1.0, ".2f")])]


def _mean(values: Mapping[tuple[str, str], float | None], model: str) -> float | None:
    known = [value for pair, value in values.items() if model in pair and value is not None]
    return sum(known) / len(known) if known else None


def _conflicts(rows: Sequence[Row]) -> list[Plot]:
    values = [row["conflict"] for row in rows]
    if all(value is None for value in values):
        return []
    title = "Share of sign conflicts by layer"
    percents = [None if value is None else 100 * value for value in values]
    shown = [Strip("entries that models moved to both sides, %", percents, bad=True)]
    drawn = strips(title, shown, _layer_names(rows), 100.0, ".1f")
    return [Plot(title, [drawn])]


def _layer_names(rows: Sequence[Row]) -> list[str]:
    return [row["layer"] for row in rows]


def _tables(rows: Sequence[Row], names: Names) -> list[Table]:
    models = list(rows[0]["norms"])
    header = ["Layer", "Tensors", "Parameters", *(f"Norm of {names(model)}" for model in models), "Sign conflicts"]
    cells = [
        [
            Cell(row["layer"]),
            numeric(row["tensors"]),
            numeric(row["parameters"]),
            *(numeric(row["norms"].get(model)) for model in models),
            numeric(row["conflict"], None if row["conflict"] is None else percent(row["conflict"])),
        ]
        for row in rows
    ]
    found = [Table("Norms and conflicts by layer", header, cells, folded=True)]
    pairs = [
        [Cell(row["layer"]), Cell(names(one["a"])), Cell(names(one["b"])), numeric(one["value"])]
        for row in rows
        for one in row["cosines"]
    ]
    return (
        [*found, Table("Cosines by layer", ["Layer", "Model", "Other", "Cosine"], pairs, folded=True)]
        if pairs
        else found
    )
