"""``merge run --intermediate-dir``: the documents of a file, each written before the next that names it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..checkpoints.address import OutputPath
from ..checkpoints.target import check_target
from ..errors import UsageError
from ..mergekit.stages import read_stages
from ..planning.layout import is_single_file
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
    if flags.out is not None:
        _check_out(flags.out.absolute(), folder.absolute(), flags)
    check = partial(_check_place, flags)
    for recipe in read_stages(path, settings, folder, has_out=flags.out is not None, check=check):
        perform(_with_flags(recipe, flags), flags)


def _check_flags(flags: MergeFlags) -> None:
    for flag, given in (("--dry-run", flags.dry_run), ("--json", flags.json_)):
        if given:
            what = f"{flag} is for one merge, and --intermediate-dir makes several"
            raise UsageError(what, hint="leave --intermediate-dir out: documents in between are then streamed")


def _check_out(out: OutputPath, folder: Path, flags: MergeFlags) -> None:
    if out in (folder, *folder.parents):
        what = "the documents in between would lie in the output"
        raise UsageError(what, where=str(out), hint="choose another --intermediate-dir")
    _check_free(flags, out)


def _check_place(flags: MergeFlags, place: Path) -> None:
    """Refuse a place that cannot be written to, before anything is merged for it."""
    if flags.out is not None and place == flags.out.absolute():
        raise UsageError("is the place of two documents", where=str(place), hint="choose another --out")
    _check_free(flags, place)


def _check_free(flags: MergeFlags, place: OutputPath) -> None:
    if isinstance(place, Path):  # places elsewhere are looked at when their turn comes
        check_target(place, (), is_folder=not is_single_file(place), force=flags.force or flags.resume)


def _with_flags(recipe: Recipe, flags: MergeFlags) -> Recipe:
    from .run import with_flags

    place = recipe.output.path
    if place is None:
        return with_flags(recipe, flags)
    return with_flags(recipe, replace(flags, out=None, dtype=None, report=None))
