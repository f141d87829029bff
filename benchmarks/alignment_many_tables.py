"""What ``alignment_many.py`` finds: rows of tables, and numbers that are compared with what is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from alignment_tables import score_text, table

__all__ = ["Findings", "Size", "score_text", "table", "verdicts"]

AT_MOST, AT_LEAST = "at most", "at least"
ROUNDING = 1e-9


@dataclass(frozen=True)
class Size:
    """How much is done.

    Attributes:
        epochs: Most epochs of a training.
        images: Most training images; None: all.
        width: Units of a hidden layer.
        points: Models of a path that are scored.
        sets: Seeds of the networks that are merged together.
        pairs: Seeds of the pairs that are matched by gradients, and merged in part.
        seeds: Of the task vectors.
        quick: Whether whatever else takes time is cut short.
    """

    epochs: int = 60
    images: int | None = None
    width: int = 512
    points: int = 25
    sets: tuple[tuple[int, ...], ...] = ((1, 2, 3, 4), (5, 6, 7, 8))
    pairs: tuple[tuple[int, int], ...] = ((1, 2), (3, 4), (5, 6))
    seeds: tuple[int, ...] = (0, 1, 2)
    quick: bool = False


@dataclass
class Findings:
    """Tables by their headings, and what was wanted of some numbers.

    Attributes:
        wanted: What, on which side of the limit, the limit, the number.
    """

    tables: dict[str, tuple[Sequence[str], list[list[str]]]] = field(default_factory=dict)
    wanted: list[tuple[str, str, float, float]] = field(default_factory=list)

    def add(self, heading: str, headings: Sequence[str], row: list[str]) -> None:
        """Add a row to a table."""
        self.tables.setdefault(heading, (headings, []))[1].append(row)

    def want(self, what: str, side: str, limit: float, number: float) -> None:
        """Note what a number should be."""
        self.wanted.append((what, side, limit, number))


def verdicts(found: Findings) -> Iterator[list[str]]:
    """Yield a row for every number that something is wanted of."""
    for what, side, limit, number in found.wanted:
        holds = number <= limit + ROUNDING if side == AT_MOST else number >= limit - ROUNDING
        yield [what, f"{side} {limit:.4g}", f"{number:.4f}", "met" if holds else "NOT met"]
