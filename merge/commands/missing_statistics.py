"""What merging commands do about statistics that are still to be computed from data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..planning.pending import is_pending
from ..recipe import Recipe
from .flags import MergeFlags
from .show import say

if TYPE_CHECKING:
    from ..completion.computing import Computing

DEFAULT_BATCH = 32


def completed(
    recipe: Recipe, flags: MergeFlags, *, verify: bool | None = None, input_shape: str | None = None
) -> Recipe:
    """Return a recipe whose statistics are all computed and whose models are all in order.

    Args:
        recipe: The recipe.
        flags: The common flags.
        verify: Whether groups of units are proven; None: where a model can be built.
        input_shape: Shape of what the model reads, with the batch; None: as the model says.

    Raises:
        MergeError: When anything fails.
    """
    if not is_pending(recipe.merge):
        return recipe
    from ..completion.complete import complete, items_of
    from ..progress import items_bar

    with items_bar(items_of(recipe), "computing statistics", quiet=flags.quiet or flags.json_) as advance:
        how = replace(computing(flags, advance), verify=verify, input_shape=input_shape)
        return complete(recipe, how)


def computing(flags: MergeFlags, advance: Callable[[int], None]) -> Computing:
    """Return how statistics are computed by these flags."""
    from ..completion.computing import Computing
    from ..evaluation.device import choose_device
    from ..evaluation.task import Settings

    batch = flags.batch_size or DEFAULT_BATCH
    settings = Settings(flags.architecture, choose_device(flags.device_here), batch, advance=advance)
    return Computing(
        settings,
        flags.force,
        flags.resume,
        lambda line: say(f"note: {line}", flags),
        spreading=flags.spreading,
        elsewhere=flags.device if flags.engine == "ray" else None,
        threads=flags.threads,
    )
