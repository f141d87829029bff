"""``--emit aligned`` of three and more models: each of them after the first in an output of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import UsageError
from ..planning.layout import is_single_file
from ..recipe import Merge, Recipe
from .flags import MergeFlags
from .merging import check_before, perform


def check_aligned(recipe: Recipe, flags: MergeFlags) -> None:
    """Refuse, by headers alone, what cannot be aligned or written.

    Args:
        recipe: The alignments, of which all orders are found together.
        flags: The common flags.

    Raises:
        UsageError: A flag is for one output, or something is in the way.
        MergeError: The models do not fit together.
    """
    _check_flags(recipe, flags)
    for one in _outputs(recipe):
        check_before(one, flags)


def write_aligned(recipe: Recipe, flags: MergeFlags) -> None:
    """Write every model after the first in the order of all, as OUT-2, OUT-3 and so on.

    Args:
        recipe: The alignments, their orders known.
        flags: The common flags.

    Raises:
        MergeError: When anything fails; outputs that were written before stay.
    """
    writing = flags if recipe.evaluate else replace(flags, architecture=None, batch_size=None)
    for one in _outputs(recipe):
        perform(one, writing)


def _check_flags(recipe: Recipe, flags: MergeFlags) -> None:
    count = len(recipe.merge.models) - 1
    for flag, given in (("--json", flags.json_), ("--report", recipe.report), ("--resume", flags.resume)):
        if given:
            raise UsageError(f"{flag} is for one output, and --emit aligned writes {count}", hint="align them in pairs")
    if recipe.output.path is None:
        raise UsageError("there is no output path", hint="give -o OUT; every model gets its own name made from it")


def _outputs(recipe: Recipe) -> list[Recipe]:
    """Return the recipes that write one aligned model each, and change nothing else."""
    path = recipe.output.path or Path()
    suffix = path.suffix if is_single_file(path) else ""
    stem, base = path.name.removesuffix(suffix), recipe.merge.base
    return [
        replace(
            recipe,
            merge=Merge("passthrough", (replace(model, options={}),), base),
            output=replace(recipe.output, path=path.with_name(f"{stem}-{number}{suffix}")),
        )
        for number, model in enumerate(recipe.merge.models[1:], start=2)
    ]
