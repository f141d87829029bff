"""A heat map: one strip of cells per row, from the first layer on the left to the last on the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from .axes import names_below
from .svg import drawing, element, label, share, shorten

ROW = 44
CELL = 22
MOST_WITH_TEXT = 8  # cells side by side that have room for their number on a phone
WEAK, STRONG = 0.62, 0.85  # opacities at which black or white text has the better contrast, on dark and light paper


class Strip(NamedTuple):
    """A name, one value per column (None where there is none), and whether high values are bad news."""

    name: str
    values: Sequence[float | None]
    bad: bool = False


def strips(title: str, rows: Sequence[Strip], columns: Sequence[str], largest: float, form: str = ".3g") -> str:
    """Draw strips; strength of colour is the value over ``largest``, negative values have another colour.

    Args:
        title: What is drawn.
        rows: At least one.
        columns: Their names; at least one.
        largest: The absolute value of the full colour, above 0.
        form: How numbers are written.
    """
    children = []
    for index, row in enumerate(rows):
        children.append(label(shorten(row.name, 44), 0, ROW * index + 14))
        for position, value in enumerate(row.values):
            children += _cell(row, columns, position, value, ROW * index + 20, largest, form)
    bottom = ROW * len(rows) + 14
    ends = [(0.0, shorten(columns[0], 22))] + ([(1.0, shorten(columns[-1], 22))] if len(columns) > 1 else [])
    children += names_below(ends, bottom)
    told = "; ".join(f"{row.name}: {', '.join(_text(value, form) for value in row.values)}" for row in rows)
    return drawing(title, told, bottom + 8, children)


def _cell(
    row: Strip, columns: Sequence[str], position: int, value: float | None, top: float, largest: float, form: str
) -> list[Element]:
    count = len(columns)
    place: dict[str, Any] = {"x": share(position / count), "y": top, "width": share(1 / count), "height": CELL}
    hint = element("title", text=f"{row.name}, {columns[position]}: {_text(value, form)}")
    if value is None:
        return [element("rect", hint, **place, class_="cell empty")]
    opacity = 0.06 + 0.94 * min(1.0, abs(value) / largest)
    style = "cell negative" if value < 0 or row.bad else "cell positive"
    made = [element("rect", hint, **place, class_=style, fill_opacity=opacity)]
    if count <= MOST_WITH_TEXT:
        middle = share((position + 0.5) / count)
        kind = "on-weak" if opacity < WEAK else "on-middle" if opacity < STRONG else "on-strong"
        made.append(label(_text(value, form), middle, top + 15, kind, "middle"))
    return made


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
