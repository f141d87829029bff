"""Tables in files of lines: JSON Lines and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import UsageError

LINES = (".jsonl", ".ndjson", ".csv", ".tsv")


def read_columns(path: Path, where: str) -> Mapping[str, Sequence[Any]]:
    """Return the columns of a file by name; the cells of a CSV file are all texts.

    Raises:
        UsageError: The file cannot be read, or a line of it is not what it should be.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path.name}: {error}", where=where) from None
    rows = _csv(text, path, where) if path.suffix in (".csv", ".tsv") else _json_lines(text, path, where)
    return _transposed(rows, path, where)


def _csv(text: str, path: Path, where: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter="\t" if path.suffix == ".tsv" else ",", strict=True
    )
    try:
        rows = list(reader)
    except csv.Error as error:
        raise UsageError(f"{path.name}, line {reader.line_num}: {error}", where=where) from None
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            what = f"{path.name}, row {number} has not {len(reader.fieldnames or ())} cells"
            raise UsageError(what, where=where)
    return rows


def _json_lines(text: str, path: Path, where: str) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{path.name}, line {number} is not JSON: {error}", where=where) from None
        if not isinstance(row, dict):
            raise UsageError(f"{path.name}, line {number} is no JSON object", where=where)
        rows.append(row)
    return rows


def _transposed(rows: Sequence[Mapping[str, Any]], path: Path, where: str) -> Mapping[str, Sequence[Any]]:
    if not rows:
        raise UsageError(f"{path.name} has no rows", where=where)
    return {name: [row.get(name) for row in rows] for name in rows[0]}
