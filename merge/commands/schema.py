"""``merge schema``: JSON Schemas for editors and programs."""

from __future__ import annotations

from typing import Annotated

import typer

from ..errors import UsageError, suggest
from ..schema import SCHEMAS
from .candidates import words
from .show import say_json

PANEL = "Recipes"


def command(
    name: Annotated[
        str,
        typer.Argument(help=f"One of: {', '.join(SCHEMAS)}.", metavar="[NAME]", autocompletion=words(*SCHEMAS)),
    ] = "recipe",
) -> None:
    """Print the JSON Schema of recipes, or of what a command prints with --json."""
    if name not in SCHEMAS:
        hint = suggest(name, SCHEMAS) or f"one of {', '.join(SCHEMAS)}"
        raise UsageError(f"there is no schema '{name}'", hint=hint)
    say_json(SCHEMAS[name]())
