"""Grid lines and the numbers at them."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from .scale import Scale
from .svg import element, label, share

NEAR_EDGE = 0.06  # numbers this close to an edge are written inside it


def vertical_grid(scale: Scale, top: float, bottom: float, name: str, factor: float = 1) -> list[Element]:
    """Return lines from top to bottom at the ticks of a horizontal scale, their numbers, and its name below.

    Args:
        scale: Over the whole width.
        top: In pixels.
        bottom: In pixels; the text takes another 34 below it.
        name: What the numbers are.
        factor: Multiplies the numbers that are shown, such as 100 for percent.
    """
    made = []
    for tick in scale.ticks:
        place = scale.place(tick)
        made.append(element("line", x1=share(place), x2=share(place), y1=top, y2=bottom, class_="grid"))
        anchor = "start" if place < NEAR_EDGE else "end" if place > 1 - NEAR_EDGE else "middle"
        made.append(label(scale.text(tick, factor), share(place), bottom + 14, "muted", anchor))
    return [*made, label(name, "50%", bottom + 30, "muted", "middle")]


def horizontal_grid(scale: Scale, top: float, height: float, factor: float = 1) -> list[Element]:
    """Return lines over the whole width at the ticks of a vertical scale, their numbers on top of them."""
    made = []
    for tick in scale.ticks:
        y = top + height * (1 - scale.place(tick))
        made.append(element("line", x1="0%", x2="100%", y1=y, y2=y, class_="grid"))
        made.append(label(scale.text(tick, factor), 0, y - 3, "muted"))
    return made


def names_below(names: Sequence[tuple[float, str]], y: float) -> list[Element]:
    """Return texts below a plot at places between 0 and 1; at the edges they stay inside."""
    made = []
    for place, name in names:
        anchor = "start" if place < NEAR_EDGE else "end" if place > 1 - NEAR_EDGE else "middle"
        made.append(label(name, share(place), y, "muted", anchor))
    return made
