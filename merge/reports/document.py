"""A report's mapping ▸ title, warnings, summary and chapters, the same for Markdown and HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .chapters.alignment import alignment
from .chapters.barrier import barrier
from .chapters.barrier_matrix import barrier_matrix
from .chapters.coefficients import coefficients
from .chapters.comparisons import comparisons
from .chapters.corruption import corruption
from .chapters.greedy import greedy
from .chapters.layers import layers
from .chapters.making import making
from .chapters.overview import overview
from .chapters.results import results
from .chapters.retention import retention
from .chapters.scaling import scaling
from .chapters.search import search
from .chapters.statistics import statistics
from .chapters.sweep import sweep
from .chapters.weights import learned, weights
from .names import names_of
from .page import Document
from .rows import benchmarks_of, clean_rows, rows_of
from .summary import summary
from .values import seconds, size, text_of
from .warnings import warnings

# How good it is, how that was reached, what happened inside, and how to make it again.
CHAPTERS = (
    *(overview, sweep, results, comparisons, retention, corruption),
    *(greedy, learned, coefficients, search, weights, scaling, statistics, alignment),
    *(barrier, barrier_matrix, layers),
    making,
)


def document(report: Mapping[str, Any]) -> Document:
    """Arrange a report: what it comes to, how good the models are, how they were made, and with what."""
    names = names_of(report)
    return Document(
        title=text_of(report.get("title", "Report")),
        facts=_facts(report),
        warnings=warnings(report),
        summary=summary(report, names),
        sections=[section for chapter in CHAPTERS for section in chapter(report, names)],
    )


def _facts(report: Mapping[str, Any]) -> list[str]:
    rows = clean_rows(rows_of(report, "results"))
    counts = ((len({row["model"] for row in rows}), "model"), (len(benchmarks_of(rows)), "benchmark"))
    found = [f"{count} {what}{'s' * (count != 1)}" for count, what in counts if count]
    run, timings = report.get("run") or {}, rows_of(report, "timings")
    time = run.get("seconds") or sum(row["seconds"] for row in timings)
    memory = run.get("peak_memory_bytes") or max((row.get("peak_memory_bytes") or 0 for row in timings), default=0)
    found += [seconds(time)] if time else []
    found += [f"{size(memory)} of memory"] if memory else []
    version = (report.get("environment") or {}).get("merge")
    return [*found, f"merge {version}"] if version else found
