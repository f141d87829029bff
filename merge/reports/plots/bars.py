"""Bars from zero, one line each: shares kept, weights, conflicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from .axes import vertical_grid
from .scale import Scale, from_zero
from .svg import drawing, element, label, share, shorten

ROW = 38
AXIS = 36


class Bar(NamedTuple):
    """A name, its value, the value as text, the interval if there is one, and the style of the bar."""

    name: str
    value: float
    text: str
    interval: Sequence[float] | None = None
    style: str = "series-1"


def bars(title: str, rows: Sequence[Bar], axis: str, factor: float = 1, mark: float | None = None) -> str:
    """Draw bars, the first on top.

    Args:
        title: What is drawn.
        rows: At least one.
        axis: What the numbers on the axis are.
        factor: Multiplies these numbers, such as 100 for percent.
        mark: A value at which a line is drawn across all bars.
    """
    ends = [end for row in rows for end in (row.value, *(row.interval or ()))]
    scale = from_zero([*ends, *([] if mark is None else [mark])])
    bottom = ROW * len(rows) + 2
    children = vertical_grid(scale, 4, bottom, axis, factor)
    children += [shape for index, row in enumerate(rows) for shape in _shapes(row, ROW * index, scale)]
    if mark is not None:
        place = share(scale.place(mark))
        children.append(element("line", x1=place, x2=place, y1=4, y2=bottom, class_="mark"))
    children += [text for index, row in enumerate(rows) for text in _texts(row, ROW * index)]
    told = "; ".join(f"{row.name}: {row.text}" for row in rows)
    return drawing(title, told, bottom + AXIS, children)


def _texts(row: Bar, top: float) -> list[Element]:
    return [label(shorten(row.name), 0, top + 15, "halo"), label(row.text, "100%", top + 15, "muted halo", "end")]


def _shapes(row: Bar, top: float, scale: Scale) -> list[Element]:
    zero, end = scale.place(0), scale.place(row.value)
    hint = element("title", text=f"{row.name}: {row.text}")
    width = share(max(abs(end - zero), 0.002))  # a bar of nothing still shows where it is
    made = [
        element("rect", hint, x=share(min(zero, end)), y=top + 21, width=width, height=12, class_=f"bar {row.style}")
    ]
    if row.interval:
        low, high = (share(scale.place(one)) for one in row.interval)
        made.append(element("line", x1=low, x2=high, y1=top + 27, y2=top + 27, class_="whisker"))
    return made
