"""The tables of ``alignment.py``, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from alignment_pair import Score

PAIRS = (
    "pair",
    "accuracy A / B",
    "naive midpoint: accuracy (loss)",
    "aligned midpoint",
    "train barrier, naive ▸ aligned",
    "test barrier",
    "sweeps",
)
WAYS = ("pair", "by weights", "by inner products", "by correlations", "by weights, repaired midpoint")
RESNETS = ("pair", "accuracy A / B", "way", "midpoint: accuracy (loss)", "test barrier")
MANY = ("four models of width 512, seeds 1 to 4", "accuracy (loss)")
PLANTED = ("noise", "found from anchors", "found from the order as it is")
COST = ("models", "wall s", "CPU s", "peak MB beyond libraries", "sweeps")
THRESHOLDS = ("what", "wanted", "found", "")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table that also reads well as plain text."""
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]

    def text(line: Sequence[str]) -> str:
        return f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"

    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([text(headings), f"|{rule}|", *map(text, rows)])


def percent_text(share: float) -> str:
    """Return a share of images as the table has it."""
    return f"{share:.3f}"


def score_text(score: Score) -> str:
    """Return accuracy and loss."""
    return f"{score.accuracy:.3f} ({score.loss:.3f})"


def barrier_text(naive: float, aligned: float) -> str:
    """Return two barriers."""
    return f"{naive:.3f} ▸ {aligned:.3f}"


def point_text(score: Score, barrier: float) -> str:
    """Return the scores of a midpoint, and the barrier around it."""
    return f"{score_text(score)}, barrier {barrier:.3f}"
