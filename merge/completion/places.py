"""Where things are: paths in a recipe count from its folder, what is computed lies beside its output."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..checkpoints.address import nearby, settled
from ..checkpoints.resolve import local_path
from ..errors import UsageError
from ..recipe import Merge, Model, Recipe


def statistics_folder(recipe: Recipe) -> Path:
    """Return where the statistics of a recipe's output lie: beside it, or in the current folder if it is elsewhere."""
    out = nearby(settled(recipe.output.path or Path("merged"), recipe.folder))
    return out.with_name(f"{out.name}.statistics")


def located(spec: str, folder: Path | None) -> str:
    """Return a name of data whose paths count from a folder, as one from the current folder."""
    if whole := _existing(spec, folder):
        return whole
    parts = [part.strip() for part in spec.split(",")]
    return ",".join(part and (_existing(part, folder) or part) for part in parts)


def _existing(name: str, folder: Path | None) -> str | None:
    """Return the path of what is there, from the current folder; a name may be longer than any file's."""
    path = os.path.join(folder or "", name)  # noqa: PTH118 - with `exists` of os, which takes such a name
    return str(Path(path)) if os.path.exists(path) else None  # noqa: PTH110


def location_of(model: Model, folder: Path | None) -> str:
    """Return a model's location, from the current folder.

    Raises:
        UsageError: It is in memory, or a merge.
    """
    if not isinstance(model.model, str):
        hint = "compute its statistics first: merge calibrate"
        raise UsageError("statistics are computed of models in files only", where=model.where, hint=hint)
    path = local_path(model.model, folder)
    return str(path) if path.exists() else model.model


def all_models(merge: Merge) -> Iterator[Model]:
    """Yield the models of a merge, its base among them, and of all those nested in it."""
    for model in merge.parts.values():
        yield model
        if isinstance(model.model, Merge):
            yield from all_models(model.model)
