"""Barriers as text: of a line, of its layers, of every two models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..search.line_document import BarrierDocument, BarrierRow
    from ..search.matrix_document import BarrierMatrix, BarrierMatrixDocument

_ABOUT = "how much worse than expected between A and B, at the worst place"


def render(document: BarrierDocument) -> str:
    """Return the barriers as a table, and that of every layer where there are any."""
    rows = [["line", "benchmark", "metric", "A", "B", "barrier", "at lambda"]]
    for curve in document["curves"]:
        first, last = curve["points"][0]["metrics"], curve["points"][-1]["metrics"]
        for row in _defined(curve["barriers"], document["definition"]):
            ends = [f"{end[row['metric']]['value']:.4f}" for end in (first, last)]
            rows.append([curve["name"], curve["benchmark"], row["metric"], *ends, *_height(row)])
    text = f"barrier ({document['definition']}): {_ABOUT}\n{_columns(rows)}"
    return f"{text}\n\n{_render_layers(document)}" if document["layers"] else text


def _render_layers(document: BarrierDocument) -> str:
    """Return the barriers of single layers; the line is named where there are several."""
    rows = [["layer", "benchmark", "metric", "barrier", "at lambda", "worse than A in the middle", "B's layer in A"]]
    several = len({layer["line"] for layer in document["layers"]}) > 1
    for layer in document["layers"]:
        name = f"{layer['layer']} ({layer['line']})" if several else layer["layer"]
        for row in _defined(layer["barriers"], document["definition"]):
            metric = row["metric"]
            last = f"{layer['points'][-1]['metrics'][metric]['value']:.4f}"
            rows.append([name, layer["benchmark"], metric, *_height(row), f"{layer['worse'][metric]:+.4f}", last])
    return f"one layer moves from A to B, all others stay as in A\n{_columns(rows)}"


def render_matrices(document: BarrierMatrixDocument) -> str:
    """Return a matrix of barriers for every line, benchmark and metric."""
    shown = [one for one in document["matrices"] if one["definition"] == document["definition"]]
    head = f"barrier ({document['definition']}): {_ABOUT}, of every two models"
    return "\n\n".join([head, *(_render_matrix(matrix, document["models"]) for matrix in shown)])


def _render_matrix(matrix: BarrierMatrix, models: Sequence[str]) -> str:
    title = f"{matrix['name']}, {matrix['benchmark']} ({matrix['split']}), {matrix['metric']}"
    rows = [["", "", "", *(str(number + 1) for number in range(len(models)))]]
    for number, (model, values) in enumerate(zip(models, matrix["values"], strict=True)):
        cells = ["-" if other == number else f"{value:.4f}" for other, value in enumerate(values)]
        rows.append([str(number + 1), model, "", *cells])
    return f"{title}\n{_columns(rows)}"


def _defined(rows: Sequence[BarrierRow], definition: str) -> list[BarrierRow]:
    return [row for row in rows if row["definition"] == definition]


def _height(row: BarrierRow) -> list[str]:
    return [f"{row['value']:.4f}", f"{row['at']:.3g}"]


def _columns(rows: Sequence[Sequence[str]]) -> str:
    from ..evaluation.table import columns

    return columns(rows)
