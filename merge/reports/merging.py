"""The report of a merge: what went in, what was done to it, what came out, and how good it is if that was asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .environment import describe_environment
from .write import write_report


def report_merge(
    found: Mapping[str, Any], recipe: Mapping[str, Any], evaluation: Mapping[str, Any] | None, directory: Path
) -> list[Path]:
    """Write the report and return its files.

    Args:
        found: What the merging command prints with ``--json``.
        recipe: The recipe as plain data.
        evaluation: Rows of an evaluation of the output, if there was one.
        directory: Where to.

    Raises:
        UsageError: When the folder holds something else.
    """
    done = ("output_id", "tensors", "bytes_read", "bytes_written", "copied_files", "warnings", "notes", "seconds")
    return write_report(
        directory,
        {
            "title": f"Merge {Path(found['out']).name}",
            "results": list(evaluation["results"]) if evaluation else [],
            "comparisons": list(evaluation["comparisons"]) if evaluation else [],
            "models": [
                {"name": model["role"], "location": model["model"], "content_id": model["content_id"]}
                for model in found["inputs"]
            ],
            "merge": {"output": found["out"], "recipe": dict(recipe), "data_use": "none"}
            | {key: found[key] for key in done if found[key]},
            "environment": describe_environment(),
        },
    )
