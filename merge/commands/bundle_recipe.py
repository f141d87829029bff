"""A recipe whose ``merge:`` is a rule that joins models at inference ▸ the request for a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError
from ..recipe import DEFAULT_SHARD_BYTES, Model, Recipe
from .bundle_flags import BundleFlags, flags_of
from .flags import MergeFlags

if TYPE_CHECKING:
    from ..bundles.rule import Rule
    from ..bundles.writing import Request


def bundle_of_recipe(recipe: Recipe, flags: MergeFlags) -> tuple[Request, BundleFlags]:
    """Return what a recipe whose ``merge:`` is a rule asks for.

    Raises:
        UsageError: It has what a bundle does not, or wrong options.
    """
    from ..bundles.rules import find_rule
    from ..bundles.writing import Request
    from ..checkpoints.address import on_this_machine, settled

    merge = recipe.merge
    rule = find_rule(merge.method)
    _refuse_unheeded(recipe, flags, rule)
    options = rule.resolve(merge.options, [model.options for model in merge.models], merge.where)
    if recipe.output.path is None:
        raise UsageError("there is no output path", where=merge.where, hint="give output: ./FOLDER, or -o FOLDER")
    hint = "write it here, then copy its folder"
    out = on_this_machine(settled(recipe.output.path, recipe.folder), "a bundle", hint)
    members = tuple(str(model.model) for model in merge.models)
    request = Request(
        rule,
        options,
        members,
        out,
        flags.architecture,
        recipe.seed,
        False,
        flags.force,
        not flags.no_fsync,
        recipe.folder,
    )
    values: dict[str, object] = {"report": recipe.report, "report_benchmark": recipe.evaluate, "dry_run": flags.dry_run}
    values |= {"device": flags.device, "batch_size": flags.batch_size, "json_": flags.json_, "quiet": flags.quiet}
    return request, flags_of(values)


def _refuse_unheeded(recipe: Recipe, flags: MergeFlags, rule: Rule) -> None:
    """Refuse keys and flags that mean nothing for a bundle."""
    merge, output = recipe.merge, recipe.output
    given: dict[str, object] = {"base": merge.base, "layers": merge.layers, "then": merge.then, "keep": recipe.keep}
    given |= {"missing": recipe.missing != "error", "mismatch": recipe.mismatch != "error", "dtype": output.dtype}
    given |= {"max_shard_size": output.max_shard_size != DEFAULT_SHARD_BYTES, "calibration": merge.calibration}
    given |= {"overflow": output.overflow != "error", "rounding": output.rounding != "nearest"}
    given |= {"--count-lost-updates": flags.count_lost_updates}
    given |= {"--resume": flags.resume, "--sha256": flags.sha256}
    if flags.spread_flag is not None:
        given[flags.spread_flag] = True
    given |= {"--threads": flags.threads, "--allow-nonfinite": flags.allow_nonfinite}
    for name, value in given.items():
        if value:
            raise UsageError(f"{rule.name} writes a bundle, for which '{name}' means nothing", where=merge.where)
    for model in merge.models:
        _check_member(model, rule)


def _check_member(model: Model, rule: Rule) -> None:
    if not isinstance(model.model, str):
        hint = "write it with merge run, then name its output"
        raise UsageError("a member of a bundle is a checkpoint", where=model.where, hint=hint)
    if model.data or model.statistics:
        raise UsageError(f"{rule.name} learns nothing from data before it runs", where=model.where)
