"""Values with their intervals, one line each: which is best, and how sure is that?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from .axes import vertical_grid
from .scale import Scale, scale_over
from .svg import drawing, element, label, share, shorten

ROW = 42  # pixels: the name above, the interval below
AXIS = 36


class Interval(NamedTuple):
    """A name, its value, both ends, the value as text, and whether it is the best."""

    name: str
    value: float
    low: float
    high: float
    text: str
    best: bool = False


def intervals(title: str, rows: Sequence[Interval], axis: str, factor: float = 1, bound: bool = False) -> str:
    """Draw values and intervals, the first row on top.

    Args:
        title: What is drawn.
        rows: At least one.
        axis: What the numbers on the axis are.
        factor: Multiplies these numbers, such as 100 for percent.
        bound: Whether values lie between 0 and 1.
    """
    ends = [end for row in rows for end in (row.low, row.high, row.value)]
    scale = scale_over(ends, least=0.0 if bound else None, greatest=1.0 if bound else None)
    bottom = ROW * len(rows) + 2
    children = vertical_grid(scale, 4, bottom, axis, factor)
    for index, row in enumerate(rows):
        children += _row(row, ROW * index, scale)
    told = "; ".join(f"{row.name}: {row.text}" for row in rows)
    return drawing(title, told, bottom + AXIS, children)


def _row(row: Interval, top: float, scale: Scale) -> list[Element]:
    style = "best" if row.best else "series-1"
    y = top + 29
    low, value, high = (share(scale.place(one)) for one in (row.low, row.value, row.high))
    hint = element("title", text=f"{row.name}: {row.text}")
    return [
        label(shorten(row.name), 0, top + 17, "strong halo" if row.best else "halo"),
        label(row.text, "100%", top + 17, "muted halo", "end"),
        element("line", x1=low, x2=high, y1=y, y2=y, class_=f"interval {style}"),
        element("circle", hint, cx=value, cy=y, r=5.5, class_=f"dot {style}"),
    ]
