"""One metric with its error bars, as SVG that stands inside a page and is the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from .values import title_of

LONGEST_LABEL = 32  # longer names keep their end, which tells models apart
NO_METADATA: dict[str, None] = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def error_bars(rows: Sequence[Mapping[str, Any]]) -> str:
    """Draw the values of rows of one benchmark and one metric, the first model on top.

    Returns:
        One ``<svg>`` element without references to anything outside it.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # A fixed salt gives stable ids; text stays text, so that it can be searched and read aloud.
    with mpl.rc_context({"svg.hashsalt": "merge", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(7, 0.8 + 0.32 * len(rows)), layout="constrained")
        FigureCanvasSVG(figure)
        _draw(figure.add_subplot(), rows)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata=NO_METADATA, transparent=True)
    text = stream.getvalue()
    return text[text.index("<svg") :]


def _draw(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    places = range(len(rows))
    values = [row["value"] for row in rows]
    below = [max(0.0, row["value"] - row["interval"][0]) for row in rows]
    above = [max(0.0, row["interval"][1] - row["value"]) for row in rows]
    axes.errorbar(values, places, xerr=[below, above], fmt="o", color="#1f5fa8", capsize=3)
    axes.set_yticks(places, [_label(row["model"]) for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"{title_of(rows[0]['metric'])}, 95 % interval, n = {rows[0]['n']}")
    axes.grid(axis="x", alpha=0.3)


def _label(model: str) -> str:
    return model if len(model) <= LONGEST_LABEL else "…" + model[1 - LONGEST_LABEL :]
