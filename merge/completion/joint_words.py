"""What networks that run together are told once, and what architecture their data names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..calibration.data import CalibrationData
    from ..evaluation.model_name import ModelName


def named_architecture(data: CalibrationData) -> str | None:
    """Return the architecture that data's benchmarks name for bare checkpoints, as ``--model`` takes it."""
    given = [getattr(benchmark, "model", None) for benchmark in data.benchmarks]
    return next((_as_written(model) for model in given if model is not None), None)


def once(note: Callable[[str], None]) -> Callable[[str], None]:
    """Return what tells every line once: networks are built many times."""
    told: set[str] = set()

    def tell(line: str) -> None:
        if line not in told:
            told.add(line)
            note(line)

    return tell


def _as_written(model: ModelName | Path) -> str:
    """Return an architecture as ``--model`` takes it."""
    if isinstance(model, Path):
        return str(model)
    if model.kind == "file":
        return f"{model.name}:{model.detail}"
    prefix = "" if model.kind == "folder" else f"{model.kind}:"
    return f"{prefix}{model.name}" + (f"@{model.detail}" if model.kind == "hf" else "")
