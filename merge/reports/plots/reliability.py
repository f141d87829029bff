"""Accuracy over confidence: on the diagonal a model is as often right as it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .svg import drawing, element, label, share, shorten, stretched

SIDE = 150
TOP = 22
SMALLEST, LARGEST = 2.0, 8.0  # radius in pixels of a bin without and with all the items


def reliability(name: str, bins: Sequence[Mapping[str, Any]]) -> str:
    """Draw one model's bins; the area of a dot is the share of the items.

    Args:
        name: The model.
        bins: ``n``, ``right`` and the mean ``confidence`` of each.
    """
    total = sum(one["n"] for one in bins)
    diagonal = element("line", x1=0, y1=100, x2=100, y2=0, class_="mark")
    places = [(one["confidence"], one["right"] / one["n"]) for one in bins]
    points = " ".join(f"{100 * x:.2f},{100 * (1 - y):.2f}" for x, y in places)
    inner = [diagonal, element("polyline", points=points, class_="line faint series-1")]
    dots = []
    for (confidence, right), one in zip(places, bins, strict=True):
        hint = f"confidence {confidence:.3f}, right {one['right']} of {one['n']}"
        radius = SMALLEST + (LARGEST - SMALLEST) * (one["n"] / total) ** 0.5
        y = TOP + SIDE * (1 - right)
        dots.append(
            element("circle", element("title", text=hint), cx=share(confidence), cy=y, r=radius, class_="dot series-1")
        )
    frame = element("rect", x="0%", y=TOP, width="100%", height=SIDE, class_="frame")
    children = [label(shorten(name, 20), 0, 14), frame, stretched("0%", TOP, "100%", SIDE, *inner), *dots]
    children += [
        label(text, x, TOP + SIDE + 15, "muted", anchor)
        for text, x, anchor in (("0", "0%", "start"), ("confidence", "50%", "middle"), ("1", "100%", "end"))
    ]
    told = "; ".join(f"at confidence {x:.2f} right {y:.2f}" for x, y in places)
    return drawing(f"Reliability of {name}", told, TOP + SIDE + 20, children)
