"""JSON values as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text_of(value: Any) -> str:
    """Return a JSON value as text: mappings as ``key: value``, lists with semicolons, None as a dash."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {text_of(item)}" for key, item in value.items()) or "-"
    if isinstance(value, list | tuple):
        return "; ".join(text_of(item) for item in value) or "-"
    return str(value)


def title_of(key: str) -> str:
    """Return a key as a heading: ``per_class_accuracy`` becomes ``Per class accuracy``."""
    words = key.replace("_", " ")
    return words[:1].upper() + words[1:]


def percent(difference: float) -> str:
    """Return a difference of fractions in percentage points, with its sign."""
    return f"{100 * difference:+.2f} points"
