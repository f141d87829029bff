"""``merge new``: a recipe to start from."""

from __future__ import annotations

from typing import Annotated

import typer

from ..bundles.rules import find_rule, rule_names
from ..recipe_template import recipe_template, rule_template
from ..registry import canonical, find_method

PANEL = "Recipes"


def command(name: Annotated[str, typer.Argument(help="The method.", metavar="METHOD")]) -> None:
    """Print a commented recipe for a method."""
    text = rule_template(find_rule(name)) if canonical(name) in rule_names() else recipe_template(find_method(name))
    typer.echo(text, nl=False)
