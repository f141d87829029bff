"""Ranges of numbers on the command line: ``t=0:1:0.1``, both ends included, or ``t=0.2,0.5``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from ..errors import UsageError
from ..grammar import MERGE_KEYS, RECIPE_KEYS

MOST_VALUES = 1000
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"{_NUMBER}(?::{_NUMBER}){{2}}")
_LIST = re.compile(rf"{_NUMBER}(?:,{_NUMBER})+")


def read_values(listed: str, text: str, flag: str) -> list[Decimal]:
    """Return the numbers of a range or a list.

    Args:
        listed: The range or list.
        text: The whole of what was given, for messages.
        flag: By which it was given.

    Raises:
        UsageError: It is neither, holds a number twice, or too many.
    """
    try:
        values = _range(listed) if ":" in listed else [Decimal(part) for part in listed.split(",")]
    except (InvalidOperation, ValueError):
        hint = f"write {flag} alpha=0:1:0.1, or {flag} alpha=0.2,0.5"
        raise UsageError(f"'{text}' is no sweep", hint=hint) from None
    if not 0 < len(values) <= MOST_VALUES or len(set(values)) < len(values):
        raise UsageError(f"'{text}' must give 1 to {MOST_VALUES} different values")
    return values


def _range(text: str) -> list[Decimal]:
    start, stop, step = (Decimal(part) for part in text.split(":"))
    if step <= 0 or stop < start or (stop - start) / step > MOST_VALUES:
        return []
    return [start + step * number for number in range(int((stop - start) / step) + 1)]


def number(value: Decimal) -> float:
    """Return a value as it counts in a recipe: a whole number where it was written as one."""
    return int(value) if value == int(value) and "." not in str(value) else float(value)


def split_ranges(settings: Iterable[str]) -> tuple[list[str], dict[str, list[Decimal]]]:
    """Divide ``--set`` into ordinary overrides and ranges of options.

    A range may name an option of the outermost merge without ``options.`` in front.

    Raises:
        UsageError: A range gives too many numbers.
    """
    plain, ranges = [], {}
    for setting in settings:
        path, _, text = setting.partition("=")
        if _is_option(path) and (_RANGE.fullmatch(text) or _LIST.fullmatch(text)):
            ranges[_full(path)] = read_values(text, setting, "--set")
        else:
            plain.append(setting)
    return plain, ranges


def as_marks(settings: Iterable[str]) -> list[str]:
    """Return the overrides with every ``t=0:1:0.1`` as an option that is searched in steps."""
    found = []
    for setting in settings:
        path, _, text = setting.partition("=")
        if _is_option(path) and _RANGE.fullmatch(text):
            low, high, step = text.split(":")
            found.append(f"{_full(path)}={{search: [{low}, {high}], step: {step}}}")
        else:
            found.append(setting)
    return found


def _is_option(path: str) -> bool:
    """Tell whether an override may be an option: other keys take texts, in which commas and colons mean nothing."""
    first, *rest = path.split(".")
    return first in MERGE_KEYS or "parameters" in path.split(".") if rest else first not in RECIPE_KEYS


def _full(path: str) -> str:
    return path if "." in path else f"options.{path.replace('-', '_')}"
