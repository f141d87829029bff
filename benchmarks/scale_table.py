"""Tables of any columns, and the sections of docs/performance.md around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Section(NamedTuple):
    """What a case found.

    Attributes:
        title: Of the section.
        about: What was measured and how, in whole sentences.
        headings: Of the table's columns.
        lines: Its cells.
        more: What is said below it.
    """

    title: str
    about: str
    headings: Sequence[str]
    lines: Sequence[Sequence[str]]
    more: str = ""

    def text(self) -> str:
        """Return the section as Markdown."""
        parts = [f"### {self.title}", self.about, markdown(self.headings, self.lines), self.more]
        return "\n\n".join(part for part in parts if part) + "\n"


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table that also reads well as plain text."""
    cells = [headings, *lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(headings))]

    def text(line: Sequence[str]) -> str:
        return f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"

    return "\n".join([text(headings), f"|{'|'.join('-' * (width + 2) for width in widths)}|", *map(text, lines)])


def often(runs: int) -> str:
    """Return how figures came about: ``one run``, or ``medians of 3 runs``."""
    return "one run" if runs == 1 else f"medians of {runs} runs"


def verdict(what: str, limit: float, figure: float, *, at_least: bool = False, unit: str = "") -> str:
    """Return a target, the measured figure, and whether the one meets the other."""
    met = figure >= limit if at_least else figure <= limit
    return f"{what} {'≥' if at_least else '≤'} {limit:g}{unit}: {figure:.3g}, {'met' if met else 'NOT met'}"
