"""Errors under corruption: each benchmark of a set of corrupted ones ▸ one row a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import MergeError
from .corrupting import corruption_of
from .data_source import Corruption
from .results import CorruptionRow, ResultRow
from .task import Benchmark

METRIC = "accuracy"
Errors = dict[str, list[float]]  # corruption ▸ error rates, severity after severity


def corruption_rows(
    rows: Sequence[ResultRow], benchmarks: Sequence[Benchmark]
) -> tuple[list[CorruptionRow], list[str]]:
    """Return every model's errors under corruption over those of the first model, and notes where they are undefined.

    Args:
        rows: All results; the first model in them is the reference.
        benchmarks: All benchmarks, of which some are a clean one under corruptions.
    """
    found: list[CorruptionRow] = []
    notes: list[str] = []
    for clean, corrupted in _sets(benchmarks).items():
        errors = _errors(rows, corrupted)
        reference = next(iter(errors), "")
        for model in errors:
            try:
                found.append(_row(model, clean, reference, errors))
            except MergeError as error:  # nothing to divide by; hours of evaluation are not thrown away for that
                notes.append(f"{clean}, {model}: no mean corruption error: {error}")
    return found, notes


def _row(model: str, clean: str, reference: str, errors: Mapping[str, Errors]) -> CorruptionRow:
    from .corruptions import SEVERITIES, corruption_errors, mean_corruption_error

    ours, theirs = errors[model], errors[reference]
    if any(len(rates) != len(SEVERITIES) for rates in ours.values()):
        raise MergeError("it is over all five severities")
    return {
        "model": model,
        "benchmark": clean,
        "reference": reference,
        "mean_corruption_error": mean_corruption_error(ours, theirs),
        "errors": corruption_errors(ours, theirs),
        "error_rates": {name: sum(rates) / len(rates) for name, rates in ours.items()},
    }


def clean_rows(rows: Sequence[ResultRow], benchmarks: Sequence[Benchmark]) -> list[ResultRow]:
    """Leave out the rows of a set of corruptions, which is summed up in its mean corruption error."""
    corrupted = {name for names in _sets(benchmarks).values() for name in names}
    return [row for row in rows if row["benchmark"] not in corrupted]


def _sets(benchmarks: Sequence[Benchmark]) -> dict[str, dict[str, Corruption]]:
    """Return clean benchmark ▸ corrupted benchmark ▸ corruption."""
    sets: dict[str, dict[str, Corruption]] = {}
    for benchmark in benchmarks:
        corruption = corruption_of(benchmark)
        if corruption is not None and corruption.benchmark is not None:
            sets.setdefault(corruption.benchmark, {})[benchmark.name] = corruption
    return sets


def _errors(rows: Sequence[ResultRow], corrupted: Mapping[str, Corruption]) -> dict[str, Errors]:
    """Return model ▸ its error rates."""
    errors: dict[str, Errors] = {}
    for row in rows:
        corruption = corrupted.get(row["benchmark"])
        if corruption is not None and row["metric"] == METRIC:
            of_model = errors.setdefault(row["model"], {})
            of_model.setdefault(corruption.name, []).append(1 - row["value"])
    return errors
