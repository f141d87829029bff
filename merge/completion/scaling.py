"""Coefficients of task vectors, learned from data for all models at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..recipe import Merge, Recipe
from ..registry import find_method
from .options import calibration_options, method_options
from .places import located, location_of
from .reported_inputs import coefficient_warnings

if TYPE_CHECKING:
    from ..calibration.data import CalibrationData
    from ..calibration.facts import Facts
    from ..evaluation.task import Settings
    from .computing import Computing


def check_scaling(merge: Merge, folder: Path | None, *, is_nested: bool = False) -> None:
    """Refuse what needs no running model to be seen.

    Raises:
        UsageError: Options that do not go together, a merge without data or base, within another one, or of models
            that are not in files.
    """
    from ..scaling.presets import choice_of

    if is_nested:
        what = f"the coefficients of a nested {merge.method} are learned by themselves"
        raise UsageError(what, where=merge.where, hint="run it alone, then nest it with its files in OUT.statistics")
    options = calibration_options(merge)
    choice_of(options)
    list(_data(merge, folder))
    _validation(options, folder)
    if merge.base is None:
        hint = "give the base: merge atlas BASE --task-vectors …; base: in a recipe"
        raise UsageError("task vectors need a base", where=merge.where, hint=hint)
    for model in (merge.base, *merge.models):
        location_of(model, folder)
    scales = [merge.options.get("scale", 1), *(model.options.get("scale", 1) for model in merge.models)]
    if any(scale != 1 for scale in scales) or any(not rule.keep for rule in merge.layers):
        what = "scale and layer rules change coefficients that were selected as they are learned"
        raise UsageError(what, where=merge.where, hint="learn first, then merge with the files in OUT.statistics")


def learn_scaling(
    recipe: Recipe, merge: Merge, computing: Computing, settings: Settings, outs: Sequence[Path]
) -> tuple[Merge, tuple[str, ...], tuple[str, ...]]:
    """Learn the coefficients of a merge into files.

    Returns:
        The merge with these files, what a card says of them, and what the user has to be warned of.

    Raises:
        UsageError: Data, models and options do not go together.
        MergeError: Nothing better than the base was found; or the networks do not run.
    """
    from ..scaling.files import write_coefficients
    from ..scaling.job import opened_job

    check_scaling(merge, recipe.folder)
    computing.alone("Coefficients are learned")
    options = calibration_options(merge)
    data, validation = list(_data(merge, recipe.folder)), _validation(options, recipe.folder)
    parts_seed = method_options(merge, find_method(merge.method)).parts_seed
    whole = replace(recipe, merge=merge)
    used = {"validation": validation, "parts_seed": parts_seed}
    with opened_job(whole, data, options, settings, **used) as job:
        facts = write_coefficients(job, outs, computing.note, force=computing.force, allow_base=options.allow_base)
    models = tuple(
        replace(model, statistics={"coefficients": str(out)}, data=None)
        for model, out in zip(merge.models, outs, strict=True)
    )
    warnings = (*_seen(facts[0]), *coefficient_warnings([*data, *validation], recipe, settings))
    return replace(merge, models=models, calibration={}), (_remark(facts[0]),), warnings


def _data(merge: Merge, folder: Path | None) -> Iterator[CalibrationData]:
    """Yield the data of all models, each set once.

    Raises:
        UsageError: A model has none.
    """
    from ..calibration.data import read_each

    specs = []
    for number, model in enumerate(merge.models, start=1):
        if model.data is None:
            what = f"model {number} has coefficients already, or no data, and all are learned together"
            raise UsageError(what, where=model.where or merge.where, hint="give data for all models, or files for all")
        specs.append(located(model.data, folder))
    known: dict[str, CalibrationData] = {}
    for spec in dict.fromkeys(specs):
        known |= {one.where: one for one in read_each(spec)}
    yield from known.values()


def _validation(options: Any, folder: Path | None) -> list[CalibrationData]:
    from ..calibration.data import read_each

    return read_each(located(options.validation, folder)) if options.validation is not None else []


def _remark(facts: Facts) -> str:
    """Return what a card says of how coefficients were found."""
    about = facts.about
    options, learning = about["options"], about["learning"]
    each = "task vector and tensor" if options["per"] == "tensor" else "task vector"
    each += f", {options['partitions']} parts" if options["partitions"] > 1 else ""
    how = f"{options['preset']} ({options['objective']}, one for each {each})"
    return f"coefficients by {how} on {about['data']['name']}: {learning['outcome']}"


def _seen(facts: Facts) -> Iterator[str]:
    """Yield a warning for items that select and teach."""
    learning = facts.about["learning"]
    if seen := learning["seen"]:
        total = sum(one["number"] for one in learning["validation"])
        yield f"{seen} of the {total} items that selected the coefficients were learned from too, and flatter them"
