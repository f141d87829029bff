"""The size of the images that a folder's preprocessor makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...json_text import parse_json

FILE = "preprocessor_config.json"
SIDES = ("shortest_edge", "longest_edge")


def published_size(folder: Path) -> tuple[int, int] | None:
    """Return height and width in pixels as ``preprocessor_config.json`` says, None where it does not.

    What is cropped in the end counts, else what images are resized to; a preprocessor that leaves sizes as they are
    says nothing.
    """
    try:
        stated = parse_json((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # a folder need not have it, and other kinds of models have other files of this name
    if not isinstance(stated, Mapping):
        return None
    found = _sides(stated.get("crop_size")) if stated.get("do_center_crop") else None
    return found or (_sides(stated.get("size")) if stated.get("do_resize", True) else None)


def _sides(size: Any) -> tuple[int, int] | None:
    """Read a size in any of the ways in which transformers wrote it."""
    if isinstance(size, Mapping):
        side = next((size[name] for name in SIDES if name in size), None)
        size = side if side is not None else (size.get("height"), size.get("width"))
    sides = tuple(size) if isinstance(size, list | tuple) else (size, size)
    return sides if len(sides) == 2 and all(type(one) is int and one > 0 for one in sides) else None
