"""A selected soup whose BatchNorm statistics are measured anew: the average is written, then the output from it.

Both stay, so that each can be verified: the average repeats from the models, the output from the average and the file
of statistics beside it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..checkpoints.address import settled
from ..plan import make_plan
from ..planning.layout import is_single_file
from ..recipe import Recipe
from .adjusting_request import Request
from .flags import MergeFlags
from .merging import DEFAULT_BATCH, More, check_before, perform
from .resetting import resetting
from .strategy_flags import StrategyFlags

if TYPE_CHECKING:
    from ..search.resetting import Resetting


def soup_resetting(recipe: Recipe, chosen: StrategyFlags, flags: MergeFlags) -> Resetting | None:
    """Return what measures BatchNorm statistics, where data for it are named.

    Raises:
        UsageError: The data are none, the models have no BatchNorm, or something stands in the average's place.
    """
    if chosen.reset_data is None:
        return None
    from ..evaluation.device import choose_device
    from ..evaluation.task import Settings

    device, batch_size = choose_device(flags.device_here), flags.batch_size or DEFAULT_BATCH
    settings = Settings(flags.architecture, device, batch_size, recipe.seed)
    reset = resetting(chosen.reset_data, chosen.reset_samples, settings)
    plan = make_plan(recipe)
    try:
        reset.check((row.name for row in plan.rows), plan.sources[plan.reference].location)
    finally:
        plan.close()
    check_before(_averaged(recipe), _silent(flags))
    return reset


def write_soup(found: Recipe, data: str, reset: Resetting, flags: MergeFlags, more: More) -> None:
    """Write a soup's average, and from it the output with statistics that fit it.

    Args:
        found: The recipe of the selected soup.
        data: What its statistics are measured on.
        reset: How many items of it.
        flags: The common flags.
        more: See `perform`; called with the output.

    Raises:
        MergeError: When anything fails; the average stays.
    """
    from ..after.batch_norm import compute_batch_norm
    from ..completion.reported_inputs import statistics_warnings
    from .adjusting import adjust

    warnings = tuple(statistics_warnings(reset.data, found, reset.settings))
    average = _averaged(found)
    perform(average, _silent(flags))
    model = str(settled(average.output.path or Path(), average.folder))
    how = replace(flags, batch_size=flags.batch_size or DEFAULT_BATCH, dtype=None)
    request = Request("bn-reset", model, data, None, reset.options, how, evaluate=found.evaluate, warnings=warnings)
    adjust(request, compute_batch_norm, more=more)


def _averaged(recipe: Recipe) -> Recipe:
    """Return the recipe that writes the average: OUT-averaged."""
    path = recipe.output.path
    if path is None:
        return recipe
    suffix = path.suffix if is_single_file(path) else ""
    output = replace(recipe.output, path=path.with_name(f"{path.name.removesuffix(suffix)}-averaged{suffix}"))
    return replace(recipe, output=output, evaluate=(), report=None)


def _silent(flags: MergeFlags) -> MergeFlags:
    """Return the flags of what is no outcome: it prints no document, and nothing is evaluated.

    A run that is continued may have written the average already; it is written again.
    """
    quiet, force = flags.quiet or flags.json_, flags.force or flags.resume
    return replace(flags, json_=False, quiet=quiet, force=force, report=None, architecture=None, batch_size=None)
