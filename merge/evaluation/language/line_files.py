"""Tables in files of lines: JSON Lines and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import UsageError

LINES = (".jsonl", ".ndjson", ".csv", ".tsv")
LARGEST_CELL = 2**31 - 1  # characters; what a C long takes everywhere


def read_columns(path: Path, where: str) -> Mapping[str, Sequence[Any]]:
    """Return the columns of a file by name; the cells of a CSV file are all texts.

    Raises:
        UsageError: The file cannot be read, or a line of it is not what it should be.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # line ends within a cell stay what they are
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path.name}: {error}", where=where) from None
    rows = _csv(text, path, where) if path.suffix in (".csv", ".tsv") else _json_lines(text, path, where)
    return _transposed(rows, path, where)


def _csv(text: str, path: Path, where: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter="\t" if path.suffix == ".tsv" else ",", strict=True
    )
    try:
        with _cells_of_any_size():
            rows = list(reader)
    except csv.Error as error:
        line = reader.line_num + 1  # where the row begins: the reader counts those that it is done with
        raise UsageError(f"{path.name}, line {line}: {error}", where=where) from None
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            what = f"{path.name}, row {number} has not {len(reader.fieldnames or ())} cells"
            raise UsageError(what, where=where)
    return rows


@contextmanager
def _cells_of_any_size() -> Iterator[None]:
    """Lift the limit of 131,072 characters in a cell, which the library keeps for the whole process."""
    before = csv.field_size_limit(LARGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def json_object(line: str, place: str, where: str) -> dict[str, Any]:
    """Return the JSON object in a line.

    Args:
        line: The text.
        place: File and line, for messages.
        where: Place in the benchmark file, for messages.

    Raises:
        UsageError: It is not one.
    """
    try:
        found = json.loads(line)
    except RecursionError:
        raise UsageError(f"{place} is no JSON that can be read: nested too deeply", where=where) from None
    except ValueError as error:
        raise UsageError(f"{place} is not JSON: {error}", where=where) from None
    if not isinstance(found, dict):
        raise UsageError(f"{place} is no JSON object", where=where)
    return found


def _json_lines(text: str, path: Path, where: str) -> list[dict[str, Any]]:
    lines = enumerate(text.split("\n"), start=1)
    return [json_object(line, f"{path.name}, line {number}", where) for number, line in lines if line.strip()]


def _transposed(rows: Sequence[Mapping[str, Any]], path: Path, where: str) -> Mapping[str, Sequence[Any]]:
    if not rows:
        raise UsageError(f"{path.name} has no rows", where=where)
    return {name: [row.get(name) for row in rows] for name in rows[0]}
