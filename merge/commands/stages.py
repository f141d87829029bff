"""``merge run --intermediate-dir``: the documents of a file, each written before the next that names it is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import UsageError
from ..mergekit.stages import read_stages
from ..recipe import Recipe
from .flags import MergeFlags
from .merging import perform


def perform_stages(path: Path, settings: Sequence[str], folder: Path, flags: MergeFlags) -> None:
    """Run the documents of a file of mergekit's recipes in turn.

    Args:
        path: The file.
        settings: Overrides.
        folder: Where the documents with a name are written.
        flags: The common flags; ``--out``, ``--dtype`` and ``--report`` are for the document without a name.

    Raises:
        MergeError: When anything fails; documents that were written before stay.
    """
    _check_flags(flags)
    for recipe in read_stages(path, settings, folder, has_out=flags.out is not None):
        perform(_with_flags(recipe, flags), flags)


def _check_flags(flags: MergeFlags) -> None:
    for flag, given in (("--dry-run", flags.dry_run), ("--json", flags.json_)):
        if given:
            what = f"{flag} is for one merge, and --intermediate-dir makes several"
            raise UsageError(what, hint="leave --intermediate-dir out: documents in between are then streamed")


def _with_flags(recipe: Recipe, flags: MergeFlags) -> Recipe:
    from .run import with_flags

    place = recipe.output.path
    if place is None:
        return with_flags(recipe, flags)
    if os.path.lexists(place) and not (flags.force or flags.resume):
        raise UsageError("the output exists", where=str(place), hint="--force replaces it")
    return with_flags(recipe, replace(flags, out=None, dtype=None, report=None))
