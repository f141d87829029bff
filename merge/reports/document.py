"""A report's mapping ▸ sections of text, tables and plots, the same for Markdown and HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .values import percent, text_of, title_of

Row = Mapping[str, Any]

REPORTING_ONLY = (
    "These numbers only report: the evaluation selected no model, weight or option on the data below. "
    "Values are fractions with their 95 % interval, the loss is in nats."
)
COMPARISON = (
    "Paired on the same images: p is the exact two-sided McNemar test of one pair, "
    "p (Holm) is corrected for all the pairs of the benchmark."
)


@dataclass(frozen=True)
class Table:
    """Cells as text; the header and every row have the same length."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it. ``plotted`` are the rows of results to draw."""

    title: str
    text: str = ""
    table: Table | None = None
    plotted: Sequence[Row] = ()


@dataclass(frozen=True)
class Document:
    """A title and its sections, in reading order."""

    title: str
    sections: Sequence[Section]


def document(report: Mapping[str, Any]) -> Document:
    """Arrange a report: results first, then how the models differ, how they were made, and with what."""
    sections = [
        *_benchmarks(report.get("results", ())),
        *_comparisons(report.get("comparisons", ())),
        *_facts("Merge", report.get("merge")),
        *_models(report.get("models", ())),
        *_facts("Environment", report.get("environment"), heading=str),
    ]
    return Document(title=text_of(report.get("title", "Report")), sections=sections)


def _benchmarks(results: Sequence[Row]) -> list[Section]:
    sections = []
    for name in dict.fromkeys(row["benchmark"] for row in results):
        rows = [row for row in results if row["benchmark"] == name]
        first_metric = [row for row in rows if row["metric"] == rows[0]["metric"]]
        sections.append(Section(f"Results: {name}", REPORTING_ONLY, _result_table(rows), plotted=first_metric))
    return sections


def _result_table(rows: Sequence[Row]) -> Table:
    header = ["Model", "Metric", "Value", "95 % interval", "n", "Data the merge used", "Seed"]
    return Table(header, [_result_cells(row) for row in rows])


def _result_cells(row: Row) -> list[str]:
    low, high = row["interval"]
    numbers = [f"{row['value']:.4f}", f"{low:.4f} to {high:.4f}", str(row["n"])]
    return [row["model"], title_of(row["metric"]), *numbers, text_of(row["data_use"]), str(row["seed"])]


def _comparisons(comparisons: Sequence[Row]) -> list[Section]:
    if not comparisons:
        return []
    header = ["Benchmark", "Model", "Against", "Difference", "Only model right", "Only other right", "p", "p (Holm)"]
    return [Section("Comparisons", COMPARISON, Table(header, [_comparison_cells(row) for row in comparisons]))]


def _comparison_cells(row: Row) -> list[str]:
    counts = [str(row["only_model_right"]), str(row["only_reference_right"])]
    p_values = [f"{row['p_value']:.3g}", f"{row['p_value_holm']:.3g}"]
    return [row["benchmark"], row["model"], row["reference"], percent(row["difference"]), *counts, *p_values]


def _models(models: Sequence[Row]) -> list[Section]:
    if not models:
        return []
    keys = list(dict.fromkeys(key for model in models for key in model))
    rows = [[text_of(model.get(key)) for key in keys] for model in models]
    return [Section("Models", table=Table([title_of(key) for key in keys], rows))]


def _facts(
    title: str, facts: Mapping[str, Any] | None, *, heading: Callable[[str], str] = title_of
) -> Iterable[Section]:
    if facts:
        rows = [[heading(key), text_of(value)] for key, value in facts.items()]
        yield Section(title, table=Table(["What", "Value"], rows))
