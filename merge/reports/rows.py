"""Questions about rows of results that several parts of a report ask."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..evaluation.outcome import LOWER_IS_BETTER

Row = Mapping[str, Any]
SEVERITIES = ("1", "2", "3", "4", "5")


def is_model(role: str) -> bool:
    """Tell whether an input of a merge with this role was merged: no base, statistics, order or model to align to."""
    return re.fullmatch(r"model( \d+)?", role) is not None


def rows_of(report: Mapping[str, Any], key: str) -> Sequence[Row]:
    """Return the rows under a key, none where it is absent."""
    found: Sequence[Row] = report.get(key) or ()
    return found


def benchmarks_of(rows: Sequence[Row]) -> list[str]:
    """Return the names of benchmarks, each once, in order."""
    return list(dict.fromkeys(row["benchmark"] for row in rows))


def corrupted_of(rows: Sequence[Row]) -> dict[str, str]:
    """Return corrupted benchmark ▸ clean benchmark: ``digits/fog/3`` is ``digits`` under fog, where both are there."""
    names = benchmarks_of(rows)
    found = {name: name.rsplit("/", 2) for name in names}
    known = set(names)
    return {
        name: parts[0]
        for name, parts in found.items()
        if len(parts) == 3 and parts[0] in known and parts[2] in SEVERITIES
    }


def clean_rows(rows: Sequence[Row]) -> list[Row]:
    """Leave out the rows under corruptions, which have a chapter of their own."""
    corrupted = corrupted_of(rows)
    return [row for row in rows if row["benchmark"] not in corrupted]


def main_rows(rows: Sequence[Row], benchmark: str) -> list[Row]:
    """Return one row per model of a benchmark: its main metric, the first in its rows."""
    of_benchmark = [row for row in rows if row["benchmark"] == benchmark]
    return [row for row in of_benchmark if row["metric"] == of_benchmark[0]["metric"]]


def higher_is_better(metric: str) -> bool:
    """Tell whether more of a metric is better."""
    return metric not in LOWER_IS_BETTER


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Return rows of one metric, the best first; equals stay in order."""
    return sorted(rows, key=lambda row: row["value"], reverse=higher_is_better(rows[0]["metric"])) if rows else []


def best_value(rows: Sequence[Row]) -> float | None:
    """Return the best value of rows of one metric; None where there is nothing to be best among."""
    return ranked(rows)[0]["value"] if len({row["value"] for row in rows}) > 1 else None


def overlap(one: Row, other: Row) -> bool:
    """Tell whether the intervals of two rows have a value in common."""
    return bool(max(one["interval"][0], other["interval"][0]) <= min(one["interval"][1], other["interval"][1]))
