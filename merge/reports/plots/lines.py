"""Lines over a common axis, with bands for their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from .axes import horizontal_grid, names_below
from .scale import Scale, scale_over
from .svg import drawing, element, label, share, stretched

HEIGHT = 210
TOP = 24


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes:
        name: What it is.
        points: Places on the axis and values, in order.
        style: Style class; with ``dashed`` for a second kind of line.
        band: Lower and upper ends at every point, if they are known.
        stepped: Whether a value holds until the next point.
        dots: Which of the points are marked: all, none, or only these.
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: str = "series-1"
    band: Sequence[tuple[float, float]] = ()
    stepped: bool = False
    dots: bool = True


def lines(
    title: str,
    rows: Sequence[Line],
    axis: str,
    height: str,
    *,
    factor: float = 1,
    marks: Sequence[tuple[float, str]] | None = None,
    extra: Sequence[tuple[float, float, str, str]] = (),
) -> str:
    """Draw lines.

    Args:
        title: What is drawn.
        rows: At least one line with at least one point.
        axis: What the horizontal axis is.
        height: What the vertical axis is.
        factor: Multiplies the numbers of the vertical axis, such as 100 for percent.
        marks: Places on the horizontal axis with their texts; None: at round numbers.
        extra: Single dots: place, value, style and hint.
    """
    values = [value for row in rows for _, value in row.points] + [
        end for row in rows for pair in row.band for end in pair
    ]
    down = scale_over(values + [value for _, value, _, _ in extra])
    across = _across([place for row in rows for place, _ in row.points] + [place for place, *_ in extra])
    texts = [(tick, across.text(tick)) for tick in across.ticks] if marks is None else marks
    inner = [shape for row in rows for shape in _shapes(row, across, down)]
    children = [
        label(height, 0, 12, "muted"),
        *horizontal_grid(down, TOP, HEIGHT, factor),
        stretched("0%", TOP, "100%", HEIGHT, *inner),
        *(_dot(across.place(x), down.place(y), row.style, row.name) for row in rows if row.dots for x, y in row.points),
        *(_dot(across.place(x), down.place(y), style, hint) for x, y, style, hint in extra),
        *names_below([(across.place(place), text) for place, text in texts], TOP + HEIGHT + 16),
        label(axis, "50%", TOP + HEIGHT + 33, "muted", "middle"),
    ]
    return drawing(title, _told(rows), TOP + HEIGHT + 40, children)


def _across(places: Sequence[float]) -> Scale:
    """Return the horizontal scale: all points, with room for their dots and for the numbers on the left."""
    low, high = min(places), max(places)
    width = (high - low) or 1.0
    inside = scale_over(places, most=6, least=low, greatest=high)
    return Scale(low - 0.09 * width, high + 0.02 * width, inside.ticks)


def _shapes(row: Line, across: Scale, down: Scale) -> list[Element]:
    points = [(100 * across.place(x), 100 * (1 - down.place(y))) for x, y in row.points]
    made = []
    if row.band:
        low, high = (
            [(x, 100 * (1 - down.place(end[side]))) for (x, _), end in zip(points, row.band, strict=True)]
            for side in (0, 1)
        )
        made.append(element("polygon", points=_joined([*low, *reversed(high)]), class_=f"band {row.style}"))
    if row.stepped:
        points = [
            corner
            for one, two in zip(points, [*points[1:], points[-1]], strict=True)
            for corner in (one, (two[0], one[1]))
        ]
    made.append(element("polyline", points=_joined(points), class_=f"line {row.style}"))
    return made


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)


def _dot(x: float, y: float, style: str, hint: str) -> Element:
    place = TOP + HEIGHT * (1 - y)
    return element("circle", element("title", text=hint), cx=share(x), cy=place, r=4, class_=f"dot {style}")


def _told(rows: Sequence[Line]) -> str:
    ends = (f"{row.name}: from {row.points[0][1]:.4g} to {row.points[-1][1]:.4g}" for row in rows)
    return "; ".join(ends)
