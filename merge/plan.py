"""A plan: everything that headers can tell about a merge. Dry run, progress total and ledger are this object."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from .checkpoints.beside import AS_IT_IS, Beside, beside_of
from .checkpoints.checkpoint import OUR_KEY, Source
from .checkpoints.derived import TensorKey, stored_sizes
from .completion.places import statistics_folder
from .errors import UsageError
from .inherited import inherited
from .planning.adjustment import MODEL, Adjustment
from .planning.advice import nothing_chosen, warnings_of
from .planning.arranging import Arranged, arrange
from .planning.binding import bind
from .planning.bound import Bound, BoundCall
from .planning.checks import check_reductions, check_rules, keeper
from .planning.component_fit import check_components
from .planning.component_layout import component_notes, components_for, lay_out_components
from .planning.layout import Order, OutputFile, by_alignment, lay_out
from .planning.learned import Learned, check_models
from .planning.opening import Opener
from .planning.pending import is_pending
from .planning.reference import Reference
from .planning.requantising import requantise
from .planning.resolver import Resolver
from .planning.roles import roles_of
from .planning.row_builder import RowBuilder
from .planning.rows import Policies, Row, Skip
from .planning.running_statistics import StatisticsResolver
from .planning.stack_config import stack_beside
from .planning.stated import unstated
from .planning.tensor_rules import refuse_quantised
from .planning.widening import check_members
from .recipe import Alignment, Model, Recipe


@dataclass(frozen=True)
class Plan:
    """A merge, decided tensor by tensor.

    Attributes:
        sources: The opened models, each once.
        roles: The role of each source in words: ``base``, ``model 1`` …
        reference: Position of the source that decides names, types and order.
        first_model: Position of the source whose metadata the output keeps.
        rows: What is computed; rows with an output in its order, then rows that are only read.
        skips: Input tensors that are not in the output, with reasons.
        files: The output's files.
        warnings: What the user should look at.
        notes: What was resolved or chosen.
        positions: Position among the sources of every leaf model of the recipe, by its identity in memory.
        learned: The statistics files among the sources.
        adjustment: What is done to the one model that is copied, if anything is.
        beside: What becomes of the files that are copied from the reference's folder.
        same: Tensors that are read under another source, which passes them on as they are, and as what.
        again: Makes the same plan once more, in another process too.
    """

    recipe: Recipe
    bound: Bound
    sources: list[Source]
    roles: list[str]
    reference: int
    first_model: int
    rows: list[Row]
    skips: list[Skip]
    files: list[OutputFile]
    warnings: list[str]
    notes: list[str]
    positions: dict[int, int]
    learned: Learned
    adjustment: Adjustment | None = None
    beside: Beside = AS_IT_IS
    same: Mapping[TensorKey, TensorKey] = field(default_factory=dict)
    again: Callable[[], Plan] | None = None

    @property
    def is_pending(self) -> bool:
        """Whether statistics are still to be computed from data, without which the plan cannot be run."""
        return isinstance(self.bound, BoundCall) and is_pending(self.recipe.merge)

    def refuse_pending(self) -> None:
        """Refuse a recipe whose statistics are still to be computed, where nothing computes them.

        Raises:
            UsageError: Saying how to get them.
        """
        if self.is_pending:
            hint = "compute them with merge calibrate, and name the files in the recipe in place of the data"
            raise UsageError("the recipe's statistics are still to be computed from data", hint=hint)

    def position_of(self, model: Model, kind: str = "") -> int:
        """Return the position among the sources of a leaf model of the recipe, or of its statistics of a kind."""
        if kind == "permutations" and isinstance(model.model, Alignment):
            return self.positions[id(model.model.permutations)]
        return self.positions[id(model.statistics[kind]) if kind else id(model)]

    def check_identities(self, input_ids: Sequence[str]) -> None:
        """Refuse statistics that were computed from other models, once the models have been read.

        Raises:
            MergeError: Naming file and model.
        """
        check_models(self.learned, self.bound, dict(enumerate(input_ids)))
        check_members(self.sources, dict(enumerate(input_ids)))
        if self.adjustment is not None:
            self.adjustment.check_model(input_ids[MODEL], self.sources[MODEL].location)

    @property
    def bytes_read(self) -> int:
        """Bytes of the inputs as they are merged, each read once by the last pass."""
        aside = sum(tensor.nbytes for row in self.rows for _, tensor in row.asides)
        return aside + sum(tensor.nbytes for row in self.rows for tensor in row.tensors if tensor)

    @property
    def bytes_stored(self) -> int:
        """Bytes that are read for them: fewer where 8-bit floats become wider ones."""
        total = 0
        for number, source in enumerate(self.sources):
            size = stored_sizes(source)
            total += sum(size(tensor) for row in self.rows if (tensor := row.tensors[number]) is not None)
        return total + sum(tensor.nbytes for row in self.rows for _, tensor in row.asides)

    @property
    def bytes_written(self) -> int:
        """Bytes of the output's tensors."""
        return sum(file.nbytes for file in self.files)

    @property
    def counts(self) -> Counter[str]:
        """Number of output tensors per action."""
        return Counter(row.action for row in self.rows if row.action != "check")

    @property
    def metadata_notes(self) -> list[str]:
        """What is to be said of the metadata that an output of this plan takes over."""
        return inherited(self.recipe, self.bound, self.sources, self.first_model).notes

    def close(self) -> None:
        """Close the sources."""
        for source in self.sources:
            source.close()


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
