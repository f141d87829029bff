"""The flag ``--block-weights`` of merging commands: a recipe with it becomes one with layer rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from ..errors import UsageError
from ..method import Method
from ..recipe import Model, Recipe

_HELP = (
    "Share of the last model by block of Stable Diffusion: 26, 25, 20 or 19 numbers, IN00=0.2,OUT*=0.5, or a preset."
)


def block_parameter(method: Method, panel: str) -> dict[str, tuple[Any, Any]]:
    """Return the flag; it is not shown where it means nothing, and is there to say so."""
    from ..diffusion.block_shares import has_shares

    option = typer.Option(
        "--block-weights", help=_HELP, metavar="NUMBERS", rich_help_panel=panel, hidden=not has_shares(method)
    )
    return {"block_weights": (Annotated[str | None, option], None)}


def with_block_weights(recipe: Recipe, method: Method, text: str | None, sweep: str | None = None) -> Recipe:
    """Return the recipe with a layer rule for each number that blocks of the base, or of the first model, have.

    Raises:
        UsageError: The numbers do not fit the model, mean nothing to the method or leave nothing for a sweep to change,
            or the model has no blocks.
    """
    if text is None:
        return recipe
    from ..diffusion.block_rules import block_rules
    from ..diffusion.block_weights import read_block_weights

    merge = recipe.merge
    block_rules(method, merge, {})  # refuses a method that has no use for them before anything is opened
    reference = merge.base or merge.models[0]
    blocks = _blocks(reference)
    found = read_block_weights(text, blocks, str(reference.model))
    if sweep is not None and len(found.numbers) == len(blocks.names):
        raise UsageError("--block-weights gives a number to every block, so that --sweep would change nothing")
    rules = block_rules(method, merge, found.numbers)
    return replace(recipe, merge=replace(merge, layers=rules), notes=(*recipe.notes, *found.notes))


def _blocks(model: Model) -> Any:
    """Return the blocks of a model, from its headers."""
    from ..diffusion.blocks import blocks_of
    from ..planning.opening import Opener

    opener = Opener(None)
    try:
        source = opener.sources[opener.open(model)]
        found = blocks_of(source.tensors)
        if found is None:
            raise UsageError(*_no_blocks(source.tensors), where=source.location)
        return found
    finally:
        opener.close()


def _no_blocks(tensors: Any) -> tuple[str]:
    from ..diffusion.families import family_of

    family = family_of(tensors)
    what = f"it is a model of {family.title}, which has no such blocks" if family else "it has no such blocks"
    return (f"--block-weights is for the UNet of Stable Diffusion 1, 2 and XL, and {what}",)
