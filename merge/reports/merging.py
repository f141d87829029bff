"""The report of a merge: what went in, what was done to it, what came out, and how good it is if that was asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .environment import describe_environment, peak_memory
from .write import write_report


def report_merge(
    found: Mapping[str, Any],
    recipe: Mapping[str, Any],
    evaluation: Mapping[str, Any] | None,
    directory: Path,
    sections: Mapping[str, Any] | None = None,
    data_use: str = "none",
) -> list[Path]:
    """Write the report and return its files.

    Args:
        found: What the merging command prints with ``--json``.
        recipe: The recipe as plain data.
        evaluation: Rows of an evaluation of the output, if there was one.
        directory: Where to.
        sections: Further sections by name, such as ``greedy``.
        data_use: Which data was used besides the weights.

    Raises:
        UsageError: When the folder holds something else.
    """
    done = ("output_id", "tensors", "bytes_read", "bytes_written", "copied_files", "warnings", "notes", "seconds")
    memory = peak_memory()
    return write_report(
        directory,
        {
            "title": f"Merge {Path(found['out']).name}",
            **(evaluation or {}),
            **_weights(recipe),
            **(sections or {}),
            "models": [
                {"name": model["role"], "location": model["model"], "content_id": model["content_id"]}
                for model in found["inputs"]
            ],
            "merge": {"output": found["out"], "recipe": dict(recipe), "data_use": data_use}
            | {key: found[key] for key in done if found[key]},
            **{part: found[part] for part in ("statistics", "alignments", "rounding") if part in found},
            "environment": describe_environment(),
            "run": {"seconds": found["seconds"]} | ({"peak_memory_bytes": memory} if memory else {}),
        },
    )


def _weights(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part ``weights`` where every model of a recipe has one number as its weight."""
    models = recipe.get("models") or ()
    rows = [{"model": model["model"], "weight": model.get("weight")} for model in models]
    plain = all(isinstance(row["model"], str) and isinstance(row["weight"], int | float) for row in rows)
    return {"weights": rows} if rows and plain else {}
