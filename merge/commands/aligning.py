"""What ``merge rebasin`` does: find the orders, then merge, or write what was asked for instead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..alignment.expand import expand
from ..alignment.kinds import chosen_kinds
from ..checkpoints.address import OutputPath, on_this_machine
from ..completion.places import location_of
from ..errors import MergeError, UsageError
from ..method import Method
from ..planning.pending import is_pending
from ..recipe import Alignment, Merge, Recipe
from .alignment_flags import AlignmentFlags
from .barrier_view import render
from .flags import MergeFlags
from .show import say, say_json

if TYPE_CHECKING:
    from ..completion.computing import Computing
    from .merging import More

CURVE_POINTS = 11
_ROUNDING = ("dtype", "overflow", "rounding", "count_lost_updates")
_OF_AN_OUTPUT = ("keep", "missing", "mismatch", *_ROUNDING, "max_shard_size", "report", "resume", "allow_nonfinite")


def perform_alignment(
    recipe: Recipe, method: Method, chosen: AlignmentFlags, flags: MergeFlags, sweep: str | None
) -> None:
    """Do what the flags ask for.

    Raises:
        UsageError: The flags do not go together.
        MergeError: When anything fails.
    """
    from .merging import check_before, perform

    if sweep is not None:
        raise UsageError(f"{method.name} takes no --sweep", hint="keep the orders with --emit permutations")
    chosen_kinds(str(recipe.merge.calibration.get("only", "")))
    if chosen.explain:
        flags.refuse_spreading("--explain merges nothing")
        _explain(recipe, chosen, flags)
        return
    _check(recipe, method, chosen)
    merge = expand(
        recipe.merge,
        method,
        files={"groups": chosen.groups},
        permutations=chosen.permutations or (),
        data=chosen.data,
    )
    found = replace(recipe, merge=merge)
    if chosen.emit == "permutations":
        _write_permutations(found, chosen, flags)
    elif chosen.emit == "aligned" and len(found.merge.models) > 2:
        _write_several(found, chosen, flags)
    else:
        found = found if chosen.emit == "merged" else _aligned_alone(found)
        writing = flags if found.evaluate else replace(flags, architecture=None, batch_size=None)
        with _alike():
            check_before(found, flags if is_pending(found.merge) else writing)
        found = found if flags.dry_run else _in_order(found, chosen, flags)
        more = _curves(found, flags) if found.evaluate and found.report and len(found.merge.models) == 2 else None
        perform(found, writing, more=more)


def _check(recipe: Recipe, method: Method, chosen: AlignmentFlags) -> None:
    models = recipe.merge.models
    if len(models) < method.minimum_models:
        raise UsageError(f"{method.name} merges at least {method.minimum_models} models, but one was given")
    if chosen.emit != "merged" and any(model.options for model in models):
        what = f"--emit {chosen.emit} averages nothing, so that weights mean nothing"
        raise UsageError(what, hint="leave --weights out")


@contextmanager
def _alike() -> Iterator[None]:
    """Say of models with other tensors what can be done about it: nothing."""
    try:
        yield
    except MergeError as error:
        if not error.hint or not any(flag in error.hint for flag in ("--missing", "--mismatch")):
            raise
        hint = "models of different widths or depths cannot be aligned"
        raise type(error)(error.what, where=error.where, hint=hint) from None


def _alignment(recipe: Recipe) -> Alignment:
    """Return the alignment of the second model."""
    alignment = recipe.merge.models[1].model
    assert isinstance(alignment, Alignment)  # noqa: S101 - a method that aligns has expanded it
    return alignment


def _in_order(recipe: Recipe, chosen: AlignmentFlags, flags: MergeFlags) -> Recipe:
    """Return a recipe whose orders are found, or proven where files give them."""
    from ..completion.proving import prove_orders
    from .missing_statistics import completed

    if chosen.permutations:
        prove_orders(recipe, _computing(chosen, flags))
    return completed(recipe, flags, verify=chosen.verify, input_shape=chosen.input_shape)


def _write_several(recipe: Recipe, chosen: AlignmentFlags, flags: MergeFlags) -> None:
    from .aligned_outputs import check_aligned, write_aligned

    with _alike():
        check_aligned(recipe, flags)
    write_aligned(recipe if flags.dry_run else _in_order(recipe, chosen, flags), flags)


def _aligned_alone(recipe: Recipe) -> Recipe:
    """Return the recipe that writes the second model in the first one's order and changes nothing else."""
    (_, second), base = recipe.merge.models, recipe.merge.base
    return replace(recipe, merge=Merge("passthrough", (replace(second, options={}),), base))


def _curves(recipe: Recipe, flags: MergeFlags) -> More:
    """Return what draws the line from the first model to the second, before and after it is aligned."""

    def draw(out: OutputPath) -> dict[str, Any]:
        from ..evaluation.device import choose_device
        from ..evaluation.specification import read_benchmarks
        from ..evaluation.task import Settings
        from ..search.line import LineChoice, explore
        from .merging import DEFAULT_BATCH

        settings = Settings(
            flags.architecture, choose_device(flags.device), flags.batch_size or DEFAULT_BATCH, recipe.seed
        )
        tasks = [(one, one.prepare(settings)) for one in read_benchmarks(recipe.evaluate)]
        alignment = _alignment(recipe)
        a, b = (location_of(model, recipe.folder) for model in (alignment.to, alignment.model))
        document = explore(a, b, tasks, LineChoice(CURVE_POINTS, recipe.merge.models[1]))
        for line in render(document).splitlines():
            say(line, flags)
        return {"barrier": dict(document)}

    return draw


def _explain(recipe: Recipe, chosen: AlignmentFlags, flags: MergeFlags) -> None:
    from ..alignment.explain import explain, explanation_text
    from ..checkpoints.resolve import open_checkpoint
    from ..completion.grouping import find_groups

    first = recipe.merge.models[0]
    alignment = Alignment(first, first, recipe.merge.calibration, groups=chosen.groups)
    source = open_checkpoint(location_of(alignment.to, recipe.folder))
    try:
        found = find_groups(source, alignment, recipe, _computing(chosen, flags))
    finally:
        source.close()
    shown = explain(found.groups, found.shapes, found.proof)
    say_json(shown) if flags.json_ else say(explanation_text(shown), flags)


def _write_permutations(recipe: Recipe, chosen: AlignmentFlags, flags: MergeFlags) -> None:
    from ..completion.aligning import find_orders
    from ..completion.checks import order_line
    from .merging import check_before

    out = recipe.output.path
    if out is None:
        raise UsageError("there is no output path", hint="give -o FILE for the permutations")
    out = on_this_machine(out, "permutations", "write them here, then copy the file")
    _check_nothing_is_merged(recipe, flags)
    with _alike():
        check_before(recipe, replace(flags, dry_run=True))  # all but the output, which is no checkpoint
    if flags.dry_run:
        say(order_line(recipe.merge.models[1], str(out)), flags)
        return
    (document,) = find_orders([_alignment(recipe)], recipe, _computing(chosen, flags), [out])
    if flags.json_:
        say_json(document)


def _check_nothing_is_merged(recipe: Recipe, flags: MergeFlags) -> None:
    """Refuse flags that shape a merged output, where only orders are written."""
    given = {"--base": recipe.merge.base, "--report-benchmark": recipe.evaluate, "--sha256": flags.sha256}
    given |= {f"--{name.replace('_', '-')}": getattr(flags, name) for name in _OF_AN_OUTPUT}
    flags.refuse_spreading("--emit permutations merges nothing")
    for flag, value in given.items():
        if value:
            raise UsageError(f"--emit permutations merges nothing, so that {flag} means nothing", hint="leave it out")


def _computing(chosen: AlignmentFlags, flags: MergeFlags) -> Computing:
    from .missing_statistics import computing

    how = computing(flags, lambda items: None)
    return replace(how, verify=chosen.verify, input_shape=chosen.input_shape)
