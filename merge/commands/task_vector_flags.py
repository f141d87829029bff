"""``merge METHOD BASE --task-vectors TUNED``: models as task vectors of a base that comes first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from ..checkpoints.resolve import local_path
from ..errors import UsageError

_PANEL = "Method"


def task_vector_parameters() -> dict[str, tuple[Any, Any]]:
    """Return the parameters in which the base is the argument, and the models are flags."""
    base = Annotated[str, typer.Argument(help="The base: a checkpoint file, folder, hub id or URL.", metavar="BASE")]
    text = "A model tuned from the base; repeated, or several with commas between them."
    models = Annotated[
        list[str] | None, typer.Option("--task-vectors", help=text, metavar="MODEL", rich_help_panel=_PANEL)
    ]
    return {"base": (base, ...), "models": (models, None)}


def listed_models(given: Sequence[str] | None) -> list[str]:
    """Return the models of the flags, one by one.

    Raises:
        UsageError: There are none.
    """
    found = list(_split(given or ()))
    if not found:
        raise UsageError("there are no task vectors", hint="give models tuned from the base: --task-vectors MODEL")
    return found


def _split(given: Sequence[str]) -> Iterator[str]:
    for text in given:
        parts = [text] if local_path(text).exists() else [part.strip() for part in text.split(",")]
        if not all(parts):
            raise UsageError("an empty name of a model", where=f"--task-vectors {text!r}")
        yield from parts
