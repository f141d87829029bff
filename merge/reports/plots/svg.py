"""Elements of SVG, built as a tree."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

SERIES = ("series-1", "series-2", "series-3", "series-4", "series-5", "series-6")
LONGEST_LABEL = 26  # beside a value, at the width of a phone


def element(tag: str, *children: ElementTree.Element, text: str = "", **attributes: str | float) -> ElementTree.Element:
    """Return an element; underscores in attribute names stand for hyphens, one at the end for nothing."""
    named = {key.rstrip("_").replace("_", "-"): _written(value) for key, value in attributes.items()}
    made = ElementTree.Element(tag, named)
    made.text = text or None
    made.extend(children)
    return made


def drawing(title: str, description: str, height: float, children: Sequence[ElementTree.Element]) -> str:
    """Return one `<svg>` as wide as its place and `height` pixels high.

    Args:
        title: Its name for a reader who cannot see it.
        description: What it shows, with the most important numbers.
        height: In pixels.
        children: The contents, from back to front.
    """
    named = [element("title", text=title), element("desc", text=description)]
    whole = element("svg", *named, *children, role="img", aria_label=title, width="100%", height=height)
    return ElementTree.tostring(whole, encoding="unicode", short_empty_elements=True)


def stretched(x: str, y: float, width: str, height: float, *children: ElementTree.Element) -> ElementTree.Element:
    """Return an inner drawing of 100 by 100 units that is stretched over a place; lines keep their width."""
    inner = {"viewBox": "0 0 100 100", "preserveAspectRatio": "none"}
    made = element("svg", *children, x=x, y=y, width=width, height=height)
    made.attrib.update(inner)
    return made


def label(text: str, x: str | float, y: float, style: str = "", anchor: str = "start") -> ElementTree.Element:
    """Return a line of text."""
    return element("text", text=text, x=x, y=y, class_=f"label {style}".strip(), text_anchor=anchor)


def shorten(name: str, longest: int = LONGEST_LABEL) -> str:
    """Return a name that is no longer than that; long ones keep their end, which tells models apart."""
    return name if len(name) <= longest else "…" + name[1 - longest :]


def share(value: float) -> str:
    """Return a place as a percentage of the width."""
    return f"{100 * value:.3f}".rstrip("0").rstrip(".") + "%"


def series(number: int) -> str:
    """Return the style class of a series; they repeat after the sixth."""
    return SERIES[number % len(SERIES)]


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
