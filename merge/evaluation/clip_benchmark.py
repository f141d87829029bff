"""Results in the form that CLIP_benchmark writes and its ``clip_benchmark build`` collects into one table.

LAION-AI/CLIP_benchmark, clip_benchmark/cli.py: one JSON file for a model on a data set, with ``dataset``, ``model``,
``pretrained``, ``task``, ``metrics`` and ``language``. What we know beyond that is under a key of our own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from .file_names import file_name
from .results import ResultRow

TASK, LANGUAGE = "zeroshot_classification", "en"
# Their names for our metrics, in their order. What we do not have, the share among the first five of five classes or
# fewer, is null; they write NaN there, which is no JSON.
METRICS = {"acc1": "accuracy", "acc5": "top5_accuracy", "mean_per_class_recall": "per_class_accuracy"}


def as_clip_benchmark(rows: Iterable[ResultRow], architecture: str = "") -> dict[str, Any]:
    """Return one model on one zero-shot benchmark as CLIP_benchmark would write it.

    Args:
        rows: All the metrics of one model on one benchmark.
        architecture: What ``--model`` said, for their key ``model``; by default the checkpoint's name.

    Raises:
        ValueError: There are no rows, or they are of several models or benchmarks.
    """
    rows = list(rows)
    if len({(row["model"], row["benchmark"]) for row in rows}) != 1:
        raise ValueError("rows of one model on one benchmark are expected")
    first = rows[0]
    found = {row["metric"]: row["value"] for row in rows}
    pretrained = Path(first["model"]).name
    return {
        "dataset": first["benchmark"],
        "model": architecture or pretrained,
        "pretrained": pretrained,
        "task": TASK,
        "metrics": {theirs: _number(found.get(ours)) for theirs, ours in METRICS.items()},
        "language": LANGUAGE,
        "merge": {row["metric"]: _own(row) for row in rows} | _provenance(first),
    }


def clip_benchmark_files(
    rows: Iterable[ResultRow], zero_shot: Collection[str], architecture: str = ""
) -> dict[str, dict[str, Any]]:
    """Return the documents of an evaluation by file name: one for every model on every zero-shot benchmark.

    Args:
        rows: Of all models and benchmarks.
        zero_shot: Names of the benchmarks of that kind.
        architecture: What ``--model`` said.
    """
    groups: dict[tuple[str, str], list[ResultRow]] = {}
    for row in rows:
        if row["benchmark"] in zero_shot:
            groups.setdefault((row["model"], row["benchmark"]), []).append(row)
    files: dict[str, dict[str, Any]] = {}
    for group in groups.values():
        document = as_clip_benchmark(group, architecture)
        name = clip_benchmark_file(document)
        while name in files:  # models of one file name in several folders
            name = f"{name.removesuffix('.json')}_.json"
        files[name] = document
    return files


def clip_benchmark_file(document: Mapping[str, Any]) -> str:
    """Return the file name that CLIP_benchmark suggests, with what no file system takes as ``_``, cut if too long."""
    parts = (document[key] for key in ("dataset", "pretrained", "model"))
    name = "_".join(re.sub(r"[^\w.=-]+", "_", str(part)) for part in parts)
    return f"{file_name(name)}_{document['language']}_{document['task']}.json"


def _own(row: ResultRow) -> dict[str, Any]:
    return {"value": _number(row["value"]), "n": row["n"], "interval": [_number(end) for end in row["interval"]]}


def _provenance(row: ResultRow) -> dict[str, Any]:
    keys = ("head", "split", "seed", "data_use", "identity")
    return {key: row[key] for key in keys}  # type: ignore[literal-required]


def _number(value: float | None) -> float | None:
    """Return a number that JSON has, or None."""
    return value if value is not None and math.isfinite(value) else None
