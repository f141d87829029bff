"""From a recipe to its plan: models are opened and bound, every tensor is decided, and the output is laid out."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from .checkpoints.beside import AS_IT_IS, beside_of
from .checkpoints.checkpoint import OUR_KEY, Source
from .completion.places import statistics_folder
from .planning.advice import nothing_chosen, warnings_of
from .planning.arranging import Arranged, arrange
from .planning.binding import bind
from .planning.bound import Bound, BoundCall
from .planning.checks import check_reductions, check_rounding, check_rules, keeper
from .planning.component_fit import check_components
from .planning.component_layout import component_notes, components_for, lay_out_components
from .planning.layout import Order, OutputFile, by_alignment, is_single_file, lay_out
from .planning.learned import Learned, check_models
from .planning.opening import Opener
from .planning.planned import Plan
from .planning.reference import Reference
from .planning.requantising import requantise
from .planning.resolver import Resolver
from .planning.roles import roles_of
from .planning.row_builder import RowBuilder
from .planning.rows import Policies, Row
from .planning.running_statistics import StatisticsResolver
from .planning.stack_config import stack_beside
from .planning.stated import unstated
from .planning.tensor_rules import refuse_quantised
from .planning.widening import check_members
from .recipe import Model, Recipe

__all__ = ["Plan", "folder_beside", "make_copy_plan", "make_plan", "may_state_architecture"]


def make_plan(recipe: Recipe, opener: Opener | None = None) -> Plan:
    """Plan a merge from headers alone.

    Args:
        recipe: The recipe.
        opener: What opens its models, where they are not just locations; then whoever gives it says how to plan again.

    Raises:
        UsageError: When the request is wrong.
        MergeError: When the models do not fit together.
    """
    planned = _plan(recipe, lambda opener: bind(recipe.merge, opener), opener)
    return replace(planned, again=partial(make_plan, recipe) if opener is None else None)


def make_copy_plan(model: str, recipe: Recipe) -> Plan:
    """Plan a copy of one model, with the recipe's output dtype and shards.

    Raises:
        MergeError: When the model is no sound checkpoint.
    """
    plan = _plan(recipe, lambda opener: opener.open(Model(model)))
    return replace(plan, again=partial(make_copy_plan, model, recipe))


def _plan(recipe: Recipe, binder: Any, opener: Opener | None = None) -> Plan:
    opener = opener or Opener(recipe.folder)
    collecting = gc.isenabled()
    gc.disable()  # headers become hundreds of thousands of tuples without a cycle, which collections would walk in vain
    try:
        bound = binder(opener)
        return _plan_bound(recipe, bound, opener)
    except BaseException:
        opener.close()
        raise
    finally:
        if collecting:
            if not gc.get_freeze_count():
                gc.freeze()  # and back again: they count as old then, and the next collection leaves them alone
                gc.unfreeze()
            gc.enable()


def _plan_bound(recipe: Recipe, bound: Bound, opener: Opener) -> Plan:
    opened = opener.sources
    for number, source in enumerate(opened):
        if number not in opener.statistics and number not in opener.orders:
            refuse_quantised(source)
    arranged = arrange(recipe, bound, opener)
    bound, reference = arranged.bound, Reference(arranged.bound, opened)
    learned = Learned(opened, arranged.matched, opener.statistics)
    learned.check_names(bound)
    check_models(learned, bound, _recorded_ids(opened))
    check_members(opened, _recorded_ids(opened))
    check_components(bound, opened, reference, recipe)
    ledger = _row_builder(recipe, arranged, opened, reference, learned).build()
    check_rules(bound, reference.tensors)
    check_reductions(ledger.rows, bound)
    again = requantise(ledger.rows, reference, opened, recipe.output)
    check_rounding(again.rows, recipe.output)
    rows, files = _place(again.rows, recipe, opened[reference.position], again.order)
    beside, unstated_layers = stack_beside(reference, opened) if reference.is_assembled else (AS_IT_IS, [])
    first = _first_model(bound, arranged, reference)
    notes = [*recipe.notes, *_notes_of(opened), *arranged.notes, *again.notes]
    notes += component_notes(opened[reference.position], rows)
    warnings = [*recipe.warnings, *warnings_of(opener, recipe, bound, ledger.averaged), *unstated_layers]
    warnings += nothing_chosen(bound, rows)
    warnings += dict.fromkeys(unstated(learned, bound, opened, statistics_folder(recipe)))
    return Plan(
        recipe,
        bound,
        opened,
        roles_of(bound, recipe.merge, opener),
        reference.position,
        first,
        rows,
        [*ledger.skips, *arranged.skips, *again.skips],
        files,
        warnings,
        notes,
        opener.positions,
        learned,
        beside=beside_of(opened[reference.position]) | arranged.beside | beside | again.beside,
        same=ledger.same,
    )


def _notes_of(opened: Sequence[Source]) -> list[str]:
    return [f"{source.location}: {note}" for source in opened for note in source.notes]


def _first_model(bound: Bound, arranged: Arranged, reference: Reference) -> int:
    """Return the first model; the reference where the first one has little of it, as a VAE that is put into a model."""
    while isinstance(bound, BoundCall):
        bound = bound.inputs[0]
    has_most = 2 * len(arranged.matched[bound].tensors) >= len(reference.tensors)
    return bound if has_most or reference.is_assembled else reference.position


def _row_builder(
    recipe: Recipe, arranged: Arranged, opened: list[Source], reference: Reference, learned: Learned
) -> RowBuilder:
    bound, names = arranged.bound, reference.tensors
    merged = Resolver(bound, names, learned) if isinstance(bound, BoundCall) else None
    averaged = StatisticsResolver(bound, names, learned) if isinstance(bound, BoundCall) else None
    kept = keeper(recipe.keep, names, arranged.kept)
    policies = Policies(recipe.missing, recipe.mismatch, recipe.output.dtype, kept)
    return RowBuilder(opened, arranged.matched, reference, merged, averaged, policies, learned)


def _place(
    rows: list[Row], recipe: Recipe, reference: Source, order: Order | None
) -> tuple[list[Row], list[OutputFile]]:
    """Give every row with an output its file and offset; the rows that are only read follow."""
    written = [row for row in rows if row.action != "check"]
    name = getattr(reference, "weights_name", "model.safetensors")
    if components := components_for(reference, recipe.output):
        each = partial(lay_out, output=recipe.output, order=order)
        placed, files = lay_out_components(by_alignment(written), components, each)
    else:
        placed, files = lay_out(by_alignment(written), recipe.output, name, order)
    return placed + [row for row in rows if row.action == "check"], files


def _recorded_ids(opened: Sequence[Source]) -> dict[int, str]:
    """Return the content ids that models state themselves, so that a mix-up is found before anything is read."""
    return {number: source.metadata[OUR_KEY] for number, source in enumerate(opened) if OUR_KEY in source.metadata}


def folder_beside(plan: Plan) -> Path | None:
    """Return the folder from which config and tokenizer are copied: the reference's."""
    return getattr(plan.sources[plan.reference], "folder", None)


def may_state_architecture(plan: Plan) -> bool:
    """Tell whether a configuration may lie beside the output's weights; beside a bare file, one that is there."""
    path = plan.recipe.output.path
    if path is not None and is_single_file(path):
        return not isinstance(path, Path) or (path.parent / "config.json").is_file()
    return folder_beside(plan) is not None or bool(plan.beside.files)
