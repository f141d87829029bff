"""``merge new``: a recipe to start from."""

from __future__ import annotations

from typing import Annotated

import typer

from ..method import Method
from ..recipe_template import recipe_template, rule_template
from ..registry import find_declared
from .candidates import declared_names

PANEL = "Recipes"


def command(
    name: Annotated[str, typer.Argument(help="The method.", metavar="METHOD", autocompletion=declared_names)],
) -> None:
    """Print a commented recipe for a method."""
    found = find_declared(name)
    typer.echo(recipe_template(found) if isinstance(found, Method) else rule_template(found), nl=False)
