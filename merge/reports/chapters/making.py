"""How it was made: recipe, merge, models, versions, timings, memory, notes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from ..names import Names
from ..page import Cell, Code, Section, Table, words
from ..rows import Row, rows_of
from ..values import numeric, seconds, size, text_of, title_of

MOST_OPEN = 30  # rows of a table that is open from the start
SIZES = frozenset({"bytes_read", "bytes_written", "peak_memory_bytes"})
WORDING = {
    "seconds": "Time",
    "peak_memory_bytes": "Peak memory",
    "output_id": "Content id of the output",
    "data_use": "Data used",
}
DURATIONS = frozenset({"seconds"})


def making(report: Mapping[str, Any], names: Names) -> list[Section]:
    """Return the merge with its recipe, provenance, cost, versions and notes."""
    return [*_merge(report), *_models(report, names), *_cost(report, names), *_environment(report), *_notes(report)]


def _merge(report: Mapping[str, Any]) -> list[Section]:
    merge = report.get("merge")
    if not merge:
        return []
    facts = {key: value for key, value in merge.items() if key != "recipe"}
    blocks: list[Table | Code] = [_facts("The merge", facts)] if facts else []
    if merge.get("recipe"):
        blocks.append(Code("The recipe", _yaml(merge["recipe"]), "yaml"))
    return [Section("Merge", blocks=blocks)]


def _yaml(recipe: Any) -> str:
    from ruamel.yaml import YAML

    stream = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 100
    writer.dump(recipe, stream)
    return stream.getvalue()


def _facts(caption: str, facts: Mapping[str, Any]) -> Table:
    rows = [[Cell(WORDING.get(key) or title_of(key)), _fact(key, value)] for key, value in facts.items()]
    return Table(caption, ["What", "Value"], rows)


def _fact(key: str, value: Any) -> Cell:
    if key in SIZES and isinstance(value, int | float):
        return Cell(f"{size(value)} ({value})")
    if key in DURATIONS and isinstance(value, int | float):
        return Cell(seconds(value))
    return Cell(text_of(value))


def _models(report: Mapping[str, Any], names: Names) -> list[Section]:
    models = rows_of(report, "models")
    if not models:
        return []
    keys = list(dict.fromkeys(key for model in models for key in model))
    rows = [words(text_of(model.get(key)) for key in keys) for model in models]
    text = "A content id is a hash of names, types, shapes and values: the same id is the same model."
    return [Section("Provenance", [text], [Table("Provenance", [title_of(key) for key in keys], rows)])]


def _cost(report: Mapping[str, Any], names: Names) -> list[Section]:
    timings, run = rows_of(report, "timings"), report.get("run")
    blocks = [_facts("The whole run", run)] if run else []
    if timings:
        header = ["Benchmark", "Model", "Time", "Items per second", "Peak memory so far"]
        rows = [_timing(row, names) for row in timings]
        blocks.append(Table("Time by model and benchmark, with loading", header, rows, folded=len(rows) > MOST_OPEN))
    return [Section("Time and memory", blocks=blocks)] if blocks else []


def _timing(row: Row, names: Names) -> list[Cell]:
    memory = row.get("peak_memory_bytes")
    return [
        Cell(row["benchmark"]),
        Cell(names(row["model"]), hint=row["model"]),
        numeric(row["seconds"], seconds(row["seconds"])),
        numeric(row["items_per_second"]),
        numeric(memory, None if memory is None else size(memory)),
    ]


def _environment(report: Mapping[str, Any]) -> list[Section]:
    found = report.get("environment")
    if not found:
        return []
    table = Table("Versions", ["What", "Version"], [words([str(key), text_of(value)]) for key, value in found.items()])
    return [Section("Versions", blocks=[table])]


def _notes(report: Mapping[str, Any]) -> list[Section]:
    notes = rows_of(report, "notes")
    return [Section("Notes", [text_of(note) for note in notes])] if notes else []
