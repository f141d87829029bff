"""A regular expression for certain names and no others."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..planning.depth import block_of


def names_pattern(names: Iterable[str]) -> str:
    """Return a pattern that matches these names alone; layers with the same tensors share what they have in common."""
    layers: dict[tuple[str, int], list[str]] = {}
    other: list[str] = []
    for name in names:
        place = block_of(name)
        if place is None:
            other.append(re.escape(name))
        else:
            start = f"{place[0]}.{place[1]}." if place[0] else f"{place[1]}."
            layers.setdefault(place, []).append(name[len(start) :])
    alike: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for (prefix, number), rests in layers.items():
        alike.setdefault((prefix, tuple(sorted(rests))), []).append(number)
    in_layers = [_layers_pattern(prefix, numbers, rests) for (prefix, rests), numbers in alike.items()]
    return f"/^{_one_of([*in_layers, *other])}$/"


def _layers_pattern(prefix: str, numbers: list[int], rests: tuple[str, ...]) -> str:
    start = re.escape(f"{prefix}.") if prefix else ""
    return rf"{start}{_one_of([str(number) for number in sorted(numbers)])}\.{_one_of(list(map(re.escape, rests)))}"


def _one_of(patterns: list[str]) -> str:
    return patterns[0] if len(patterns) == 1 else f"(?:{'|'.join(patterns)})"
