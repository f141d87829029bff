"""``merge new``: a recipe to start from."""

from __future__ import annotations

from typing import Annotated

import typer

from ..recipe_template import recipe_template
from ..registry import find_method

PANEL = "Recipes"


def command(name: Annotated[str, typer.Argument(help="The method.", metavar="METHOD")]) -> None:
    """Print a commented recipe for a method."""
    typer.echo(recipe_template(find_method(name)), nl=False)
