"""A plan: everything that headers can tell about a merge. Dry run, progress total and ledger are this object."""

from __future__ import annotations

import gc
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .checkpoints.beside import AS_IT_IS, Beside
from .checkpoints.checkpoint import Source
from .checkpoints.target import OUR_KEY
from .completion.places import statistics_folder
from .errors import UsageError
from .planning.adjustment import MODEL, Adjustment
from .planning.binding import Bound, BoundCall, bind, compile_pattern, is_pending, is_seeded, leaves
from .planning.layout import OutputFile, by_alignment, is_single_file, lay_out
from .planning.learned import Learned, check_models
from .planning.names import NOTHING_MATCHED, Matched, match_names
from .planning.opening import Opener
from .planning.resolver import Resolver
from .planning.rows import Policies, Row, RowBuilder, Skip
from .planning.running_statistics import StatisticsResolver
from .planning.stated import unstated
from .planning.tensor_rules import refuse_quantised
from .program import calls
from .recipe import DEFAULT_SHARD_BYTES, Alignment, Merge, Model, Recipe


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
        if self.adjustment is not None:
            self.adjustment.check_model(input_ids[MODEL], self.sources[MODEL].location)

    @property
    def bytes_read(self) -> int:
        """Bytes of the inputs, each read once by the last pass."""
        aside = sum(tensor.nbytes for row in self.rows for _, tensor in row.asides)
        return aside + sum(tensor.nbytes for row in self.rows for tensor in row.tensors if tensor)

    @property
    def bytes_written(self) -> int:
        """Bytes of the output's tensors."""
        return sum(file.nbytes for file in self.files)

    @property
    def counts(self) -> Counter[str]:
        """Number of output tensors per action."""
        return Counter(row.action for row in self.rows if row.action != "check")

    def close(self) -> None:
        """Close the sources."""
        for source in self.sources:
            source.close()


def make_plan(recipe: Recipe) -> Plan:
    """Plan a merge from headers alone.

    Raises:
        UsageError: When the request is wrong.
        MergeError: When the models do not fit together.
    """
    return _plan(recipe, lambda opener: bind(recipe.merge, opener))


def make_copy_plan(model: str, recipe: Recipe) -> Plan:
    """Plan a copy of one model, with the recipe's output dtype and shards.

    Raises:
        MergeError: When the model is no sound checkpoint.
    """
    return _plan(recipe, lambda opener: opener.open(Model(model)))


def _plan(recipe: Recipe, binder: Any) -> Plan:
    opener = Opener(recipe.folder)
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
            gc.enable()


def _plan_bound(recipe: Recipe, bound: Bound, opener: Opener) -> Plan:
    opened = opener.sources
    for number, source in enumerate(opened):
        if number not in opener.statistics and number not in opener.orders:
            refuse_quantised(source)
    merged = set(leaves(bound))
    reference = next(leaves(bound))
    first_model = _first_model(bound)
    matched = [
        match_names(opened[reference], source) if number in merged else NOTHING_MATCHED
        for number, source in enumerate(opened)
    ]
    learned = Learned(opened, matched, opener.statistics)
    learned.check_names(bound)
    check_models(learned, bound, _recorded_ids(opened))
    builder = _row_builder(recipe, bound, opened, matched, reference, learned)
    ledger = builder.build()
    _check_rules(bound, opened[reference].tensors)
    _check_reductions(ledger.rows, bound)
    rows, files = _place(ledger.rows, recipe, opened[reference])
    warnings = _warnings(opener, recipe, bound, ledger.averaged)
    warnings += dict.fromkeys(unstated(learned, bound, opened, statistics_folder(recipe)))
    notes = [*recipe.notes, *(f"{source.location}: {note}" for source in opened for note in source.notes)]
    notes += [
        f"{source.location} {note}" for source, match in zip(opened, matched, strict=True) for note in match.notes
    ]
    roles = _roles(bound, len(opened))
    for number in opener.statistics:
        roles[number] = _role_of_statistics(bound, number)
    for number, role in _roles_of_alignments(recipe.merge, opener):
        roles[number] = roles[number] or role
    return Plan(
        recipe,
        bound,
        opened,
        roles,
        reference,
        first_model,
        rows,
        ledger.skips,
        files,
        warnings,
        notes,
        opener.positions,
        learned,
    )


def _first_model(bound: Bound) -> int:
    while isinstance(bound, BoundCall):
        bound = bound.inputs[0]
    return bound


def _row_builder(
    recipe: Recipe, bound: Bound, opened: list[Source], matched: list[Matched], reference: int, learned: Learned
) -> RowBuilder:
    names = opened[reference].tensors
    merged = Resolver(bound, names, learned) if isinstance(bound, BoundCall) else None
    averaged = StatisticsResolver(bound, names, learned) if isinstance(bound, BoundCall) else None
    used = frozenset(_used(bound))
    policies = Policies(recipe.missing, recipe.mismatch, recipe.output.dtype, _keeper(recipe, names))
    return RowBuilder(opened, matched, reference, used, merged, averaged, policies, learned)


def _used(bound: Bound) -> set[int]:
    """Return the sources whose values enter the result; the base of a method over weights does not."""
    if isinstance(bound, int):
        return {bound}
    used = set().union(*(_used(child) for child in bound.inputs))
    return used | (_used(bound.base) if bound.base is not None and bound.reads_base else set())


def _keeper(recipe: Recipe, names: Any) -> Any:
    """Return the test for tensors that stay as the reference has them, refusing patterns that match nothing."""
    tests = [compile_pattern(pattern) for pattern in recipe.keep]
    for pattern, test in zip(recipe.keep, tests, strict=True):
        if not any(test(name) for name in names):
            raise UsageError(f"the pattern '{pattern}' matches no tensor", hint="see the names with: merge inspect")
    return (lambda name: any(test(name) for test in tests)) if tests else (lambda name: False)


def _check_rules(bound: Bound, names: Any) -> None:
    """Refuse layer rules, nested ones too, that match no tensor."""
    if isinstance(bound, BoundCall):
        for rule in bound.rules:
            if not any(rule.matches(name) for name in names):
                raise UsageError(f"the pattern '{rule.rule.match}' matches no tensor", where=rule.rule.where)
        for child in bound.inputs:
            _check_rules(child, names)


def _check_reductions(rows: list[Row], bound: Bound) -> None:
    """Refuse one reduction over the checkpoint that is asked for in different ways here and there."""
    distinct = {id(row.expression): row.expression for row in rows if row.expression is not None}
    wanted: dict[tuple[str, str], Any] = {}
    for expression in distinct.values():
        for call in calls(expression):
            over_all = [reduction for reduction in call.reductions if reduction.scope == "checkpoint"]
            if any(wanted.setdefault((call.path, red.name), red) != red for red in over_all):
                what = f"{call.method.name}: what is ranked over the checkpoint needs the same options for all tensors"
                raise UsageError(what, where=bound.where if isinstance(bound, BoundCall) else None)


def _place(rows: list[Row], recipe: Recipe, reference: Source) -> tuple[list[Row], list[OutputFile]]:
    """Give every row with an output its file and offset; the rows that are only read follow."""
    written = [row for row in rows if row.action != "check"]
    name = getattr(reference, "weights_name", "model.safetensors")
    placed, files = lay_out(by_alignment(written), recipe.output, name)
    return placed + [row for row in rows if row.action == "check"], files


def _warnings(opener: Opener, recipe: Recipe, bound: Bound, averaged: int) -> list[str]:
    pattern = _pattern_location(opener, bound)
    warnings = [f"{location} is given more than once" for location in opener.repeated if location != pattern]
    if isinstance(bound, BoundCall) and _lacks_weights(bound):
        default = bound.method.options.declarations["weight"].shown_default
        warnings.append(f"only some models have a weight; the others have the default, {default}")
    if isinstance(bound, BoundCall) and bound.method.statistics and (total := _sum_of_weights(bound)) is not None:
        warnings.append(f"the weights sum to {total:g}, not 1: what is averaged (biases, norms) is scaled by that")
    path = recipe.output.path
    if path is not None and is_single_file(path) and recipe.output.max_shard_size != DEFAULT_SHARD_BYTES:
        warnings.append(f"{path.name} is one file: the shard size has no effect")
    if averaged:
        warnings.append(f"{averaged} BatchNorm statistics are averaged, not recalibrated: merge bn-reset does that")
    if recipe.seed and isinstance(bound, BoundCall) and not is_seeded(recipe.merge):
        warnings.append(f"{recipe.merge.method} draws no random numbers: the seed has no effect")
    return warnings


def _pattern_location(opener: Opener, bound: Bound) -> str | None:
    """Return where the base lies if its values do not enter the outcome, so that it may well be a model too."""
    if isinstance(bound, BoundCall) and isinstance(bound.base, int) and not bound.reads_base:
        return opener.sources[bound.base].location
    return None


def _sum_of_weights(bound: BoundCall) -> float | None:
    """Return the sum of weights that are given for all models, where it is not 1."""
    weights = bound.options.get("weight")
    if not isinstance(weights, tuple) or not all(isinstance(weight, int | float) for weight in weights):
        return None
    total = math.fsum(weights)
    return None if math.isclose(total, 1, rel_tol=1e-6) else total


def _lacks_weights(bound: BoundCall) -> bool:
    weights = bound.options.get("weight")
    return isinstance(weights, tuple) and None in weights


def _roles(bound: Bound, count: int) -> list[str]:
    roles = [""] * count
    base = bound.base if isinstance(bound, BoundCall) else None
    while isinstance(bound, BoundCall) and len(bound.inputs) == 1 and isinstance(bound.inputs[0], BoundCall):
        bound = bound.inputs[0]
    inputs: Sequence[Bound] = bound.inputs if isinstance(bound, BoundCall) else [bound]
    for number, child in enumerate(inputs, start=1):
        for leaf in leaves(child):
            roles[leaf] = roles[leaf] or f"model {number}"
    for leaf in leaves(base) if base is not None else ():
        roles[leaf] = "base"
    return roles


def _recorded_ids(opened: Sequence[Source]) -> dict[int, str]:
    """Return the content ids that models state themselves, so that a mix-up is found before anything is read."""
    return {number: source.metadata[OUR_KEY] for number, source in enumerate(opened) if OUR_KEY in source.metadata}


def _role_of_statistics(bound: Bound, number: int) -> str:
    if isinstance(bound, BoundCall) and number in bound.statistics:
        return f"{bound.method.statistics} of model {bound.statistics.index(number) + 1}"
    return "statistics"


def _roles_of_alignments(merge: Merge, opener: Opener) -> Iterator[tuple[int, str]]:
    """Yield the role of everything that aligned models are made from."""
    for name, model in merge.parts.items():
        if isinstance(model.model, Merge):
            yield from _roles_of_alignments(model.model, opener)
        elif isinstance(model.model, Alignment):
            alignment, role = model.model, "the base" if name == "base" else f"model {name}"
            yield opener.positions[id(alignment.model)], f"{role} before it is aligned"
            yield opener.positions[id(alignment.to)], f"what {role} is aligned to"
            if alignment.permutations:
                yield opener.positions[id(alignment.permutations)], f"permutations of {role}"


def folder_beside(plan: Plan) -> Path | None:
    """Return the folder from which config and tokenizer are copied: the reference's."""
    return getattr(plan.sources[plan.reference], "folder", None)
