"""What merging commands do about statistics that are still to be computed from data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..planning.binding import is_pending
from ..recipe import Recipe
from .flags import MergeFlags
from .show import say

if TYPE_CHECKING:
    from ..completion.computing import Computing

DEFAULT_BATCH = 32


def completed(recipe: Recipe, flags: MergeFlags) -> Recipe:
    """Return a recipe whose statistics are all computed.

    Raises:
        MergeError: When anything fails.
    """
    if not is_pending(recipe.merge):
        return recipe
    from ..completion.complete import complete, items_of
    from ..progress import items_bar

    with items_bar(items_of(recipe), "computing statistics", quiet=flags.quiet or flags.json_) as advance:
        return complete(recipe, _computing(flags, advance))


def _computing(flags: MergeFlags, advance: Callable[[int], None]) -> Computing:
    from ..completion.computing import Computing
    from ..evaluation.device import choose_device
    from ..evaluation.task import Settings

    batch = flags.batch_size or DEFAULT_BATCH
    settings = Settings(flags.architecture, choose_device(flags.device), batch, advance=advance)
    return Computing(settings, flags.force, flags.resume, lambda line: say(f"note: {line}", flags))
