"""Bind a recipe to what exists: methods are found, options checked, models opened. Weights are not touched."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..alignment.declared import AlignmentOptions, check_together
from ..alignment.kinds import chosen_kinds
from ..errors import UsageError, suggest
from ..method import Method
from ..options import Declaration, check_name
from ..recipe import Alignment, LayerRule, Merge, Model, OptionValue, Placed, place_of
from ..registry import find_method, usable_methods
from ..searched import Searched
from .stacks import Taken, Tensors

STATISTICS = {"fisher": "Fisher information", "gram": "Gram matrices"}


@dataclass(frozen=True, eq=False)
class BoundRule:
    """A layer rule whose pattern is compiled and whose options are checked."""

    matches: Callable[[str], object]
    rule: LayerRule
    options: Mapping[str, OptionValue]


@dataclass(frozen=True, eq=False)
class BoundCall:
    """A method with its sources and checked options; inputs are positions of sources or calls of their own.

    Attributes:
        statistics: Position of each model's statistics file; empty where none are needed, or still to be computed.
        wheres: Where each model's options stand.
        takes: Where every tensor comes from, by its name in the outcome, for a method that assembles its models.
        part_tensors: The tensors of each of these models, under the names that `takes` gives them.
    """

    path: str
    method: Method
    inputs: tuple[Bound, ...]
    base: Bound | None
    options: Mapping[str, OptionValue]
    rules: tuple[BoundRule, ...] = ()
    where: str | None = None
    witnesses: tuple[Bound, ...] = ()
    statistics: tuple[int, ...] = ()
    wheres: tuple[str | None, ...] = ()
    takes: Mapping[str, Taken] = field(default_factory=dict)
    part_tensors: tuple[Tensors, ...] = ()

    @property
    def reads_base(self) -> bool:
        """Whether the base's values enter the outcome."""
        return self.method.reads_base(given=self.base is not None)


Bound = BoundCall | int


class Opens(Protocol):
    """What opens the files that a recipe names."""

    def open(self, model: Model) -> int:
        """Open a leaf model and return its position among the sources."""

    def open_silently(self, model: Model) -> int:
        """Do the same for a model that may be among the sources for other reasons."""

    def open_statistics(self, model: Model, kind: str) -> int:
        """Open a model's statistics and return their position among the sources."""

    def open_aligned(self, model: Model, alignment: Alignment) -> int:
        """Open a model whose units take another order, and return its position among the sources."""


def leaves(bound: Bound) -> Iterator[int]:
    """Yield the sources below, the base of every call first."""
    if isinstance(bound, int):
        yield bound
    else:
        for child in ([bound.base] if bound.base is not None else []) + list(bound.inputs):
            yield from leaves(child)


def with_positions(bound: Bound, positions: Mapping[int, int]) -> Bound:
    """Return a bound recipe with other sources in the place of some."""
    if isinstance(bound, int):
        return positions.get(bound, bound)
    inputs, witnesses = (
        tuple(with_positions(child, positions) for child in children) for children in (bound.inputs, bound.witnesses)
    )
    base = with_positions(bound.base, positions) if bound.base is not None else None
    return replace(bound, inputs=inputs, base=base, witnesses=witnesses)


def assembles(bound: Bound) -> bool:
    """Tell whether a recipe has a stack or a join."""
    if isinstance(bound, int):
        return False
    return bound.method.assembles or any(assembles(child) for child in bound.inputs)


def is_seeded(merge: Merge) -> bool:
    """Tell whether any method of a recipe draws random numbers, or data for statistics still to be computed."""
    nested = [model.model for model in merge.parts.values() if isinstance(model.model, Merge)]
    names = [merge.method, *(name for name, _ in merge.then)]
    return is_pending(merge) or any(find_method(name).seeded for name in names) or any(map(is_seeded, nested))


def compile_pattern(pattern: str, where: str | None = None) -> Callable[[str], object]:
    """Turn a glob, or a regular expression between slashes, into a test of a tensor name.

    Raises:
        UsageError: When the expression is broken.
    """
    if len(pattern) > 1 and pattern[0] == pattern[-1] == "/":
        try:
            return re.compile(pattern[1:-1]).search
        except re.error as error:
            raise UsageError(f"'{pattern}' is no regular expression: {error}", where=where) from None
    return re.compile(fnmatch.translate(pattern)).match


def bind(merge: Merge, opener: Opens, *, base: Bound | None = None, path: str = "merge") -> BoundCall:
    """Bind a merge and everything nested in it.

    Args:
        merge: The merge.
        opener: Opens the files.
        base: The enclosing merge's base, which a nested merge without its own uses.
        path: Where the merge stands in the recipe.

    Raises:
        UsageError: For unknown methods and options, wrong values, and models that do not fit the method.
    """
    method = named_method(merge.method, merge.where)
    _check_count(method, merge)
    if method.aligns:
        what = f"{method.name} aligns models in files"
        raise UsageError(what, where=merge.where, hint="give it a recipe, or use its command")
    declared = method.options.declarations
    options = dict(_checked(merge.options, declared, method.name, merge.where))
    given = [(model.options, model.where) for model in merge.models]
    options |= _per_model(given, merge.options, declared, method.name)
    if merge.base is not None:
        base = _bind_model(merge.base, opener, None, f"{path}.base")
    passed_on = None if method.assembles else base  # of which parts are taken, so that it fits none of them
    inputs = tuple(
        _bind_model(model, opener, passed_on, f"{path}.models[{number}]") for number, model in enumerate(merge.models)
    )
    if method.needs_base and base is None:
        raise UsageError(f"{method.name} needs a base", where=merge.where, hint="give --base, or base: in a recipe")
    if isinstance(base, int) and base in inputs and method.reads_base(given=True):
        what = f"the base is also model {inputs.index(base) + 1}, whose task vector is then 0"
        raise UsageError(what, where=merge.where, hint="list only tuned models")
    rules = tuple(_bind_rule(rule, merge, declared, method.name) for rule in merge.layers)
    statistics = _bind_statistics(method, merge, opener)
    if method.assembles and merge.layers:
        what = f"{method.name} computes nothing that layer rules could change"
        raise UsageError(what, where=merge.layers[0].where, hint="write them within a nested merge")
    wheres = tuple(_place(model) for model in merge.models)
    bound = BoundCall(path, method, inputs, base, options, rules, merge.where, statistics=statistics, wheres=wheres)
    return _bind_then(merge, bound)


def _place(model: Model) -> str | None:
    """Return where a model's own options stand, or else the model."""
    return next((place_of(model.options, name, model.where) for name in model.options), model.where)


def named_method(name: str, where: str | None) -> Method:
    """Return the method of a recipe. Raises UsageError with the place where its name stands."""
    try:
        return find_method(name)
    except UsageError as error:
        raise UsageError(error.what, where=where, hint=error.hint) from None


def _bind_model(model: Model, opener: Opens, base: Bound | None, path: str) -> Bound:
    if isinstance(model.model, Merge):
        return bind(model.model, opener, base=base, path=path)
    if isinstance(model.model, Alignment):
        return _bind_alignment(model, model.model, opener)
    return opener.open(model)


def _bind_alignment(model: Model, alignment: Alignment, opener: Opens) -> int:
    """Check an alignment's options; open what it gives, or while its order is not found the model as it is."""
    declared = AlignmentOptions.declarations
    given = dict(_checked(alignment.options, declared, "align", alignment.where))
    if alignment.permutations and (given or alignment.groups or alignment.data):
        what = "the order is given by permutations, so that nothing is left to find"
        raise UsageError(what, where=alignment.where, hint="leave the other options out")
    check_together(given, alignment.where)
    chosen_kinds(str(given.get("only", "")), place_of(alignment.options, "only", alignment.where))
    by_data = given.get("matching") == "activations"
    if by_data is not bool(alignment.data) and not alignment.permutations:
        what = "needs data" if by_data else "takes no data"
        raise UsageError(f"matching by {given.get('matching', 'weights')} {what}", where=alignment.where)
    opener.open_silently(alignment.to)
    return opener.open_aligned(model, alignment) if alignment.permutations else opener.open(alignment.model)


def _bind_statistics(method: Method, merge: Merge, opener: Opens) -> tuple[int, ...]:
    """Open the statistics of every model; return nothing while some are still to be computed from data."""
    kind = method.statistics
    for number, model in enumerate(merge.models, start=1):
        where = model.where or merge.where
        other = next((name for name in model.statistics if name != kind or method.sequential), None)
        if other or (model.data and not kind):
            what = f"{method.name} takes no {other or 'data'}"
            raise UsageError(what, where=where, hint=_instead(method, other))
        if model.data and kind in model.statistics:
            what = f"model {number} has both {kind} and data, from which it would be computed"
            raise UsageError(what, where=where, hint="leave one of them out")
        if kind and kind not in model.statistics and not model.data:
            wanted = "--data SPEC" if method.sequential else f"--{kind} FILE, or --data SPEC to compute it"
            noun = "data" if method.sequential else STATISTICS[kind]
            raise UsageError(
                f"{method.name} needs {noun} of every model, and model {number} has none",
                where=where,
                hint=f"give {wanted}",
            )
    for name, value in merge.calibration.items():
        place = place_of(merge.calibration, name, merge.where)
        if not any(model.data for model in merge.models):
            what = f"'{name}' is for computing statistics, and none are computed"
            raise UsageError(what, where=place, hint="give data, or leave it out")
        method.calibration.declarations[name].check(value, place)
    if not kind or any(kind not in model.statistics for model in merge.models):
        return ()
    return tuple(opener.open_statistics(model, kind) for model in merge.models)


def _instead(method: Method, kind: str | None) -> str:
    """Return what to do where a method takes no statistics of this kind, or no data."""
    if method.sequential:
        return f"it computes its own: give --data, or merge by {method.merged_by} with the files"
    takers = [
        f"{one.name} does" for one in usable_methods()[0] if kind and one.statistics == kind and not one.sequential
    ]
    return f"leave it out; {', '.join(takers)}" if takers else "leave it out"


def is_pending(merge: Merge) -> bool:
    """Tell whether statistics, or orders of units, are still to be found for a merge or for one nested in it."""
    parts = merge.parts.values()
    nested = [model.model for model in parts if isinstance(model.model, Merge)]
    kind = find_method(merge.method).statistics
    unlearned = bool(kind) and any(kind not in model.statistics for model in merge.models)
    return unlearned or any(map(is_pending, nested)) or any(map(is_unaligned, parts))


def is_unaligned(model: Model) -> bool:
    """Tell whether a model's order of units is still to be found."""
    return isinstance(model.model, Alignment) and model.model.permutations is None


def _check_count(method: Method, merge: Merge) -> None:
    count, least, most = len(merge.models), method.minimum_models, method.maximum_models
    if count < least or (most is not None and count > most):
        limit = most if most is not None and count > most else least
        wanted = "exactly" if least == most else "at least" if count < least else "at most"
        number = "one model" if limit == 1 else f"{limit} models"
        given = "one was" if count == 1 else f"{count or 'none'} were"
        raise UsageError(f"{method.name} merges {wanted} {number}, but {given} given", where=merge.where)


def _checked(
    given: Mapping[str, OptionValue], declared: Mapping[str, Declaration], method: str, where: str | None
) -> Iterator[tuple[str, OptionValue]]:
    """Yield the shared options, checked; a list is a course over depth and every value of it is checked."""
    for name, value in given.items():
        place = place_of(given, name, where)
        check_name(name, declared, method, place)
        if declared[name].per_model and not declared[name].shared:
            hint = f"write '{name}' beside each model, or {declared[name].flag} on the command line"
            raise UsageError(f"'{name}' of {method} has one value per model", where=place, hint=hint)
        yield name, _check_value(value, declared[name], place)


def _check_value(value: OptionValue, declaration: Declaration, where: str | None) -> OptionValue:
    for item in value if isinstance(value, list | tuple) else (value,):
        if isinstance(item, Searched):
            item.refuse(declaration)
    if not isinstance(value, list | tuple):
        return declaration.check(value, where)
    if declaration.type is not float or len(value) < 2:
        raise UsageError(f"{declaration.name} takes no list of {len(value)} values", where=where)
    return [declaration.check(item, where) for item in value]


def _per_model(
    given: Sequence[tuple[Mapping[str, OptionValue], str | None]],
    shared: Mapping[str, OptionValue],
    declared: Mapping[str, Declaration],
    method: str,
) -> dict[str, OptionValue]:
    """Gather each per-model option into a tuple with one value per model, None where the default counts."""
    known = {name: declaration for name, declaration in declared.items() if declaration.per_model}
    for options, where in given:
        for name in options:
            if name not in known:
                hint = suggest(name, (*known, "data", *STATISTICS)) or (
                    "it belongs under options:" if name in declared else None
                )
                place = place_of(options, name, where)
                raise UsageError(f"{method} has no option '{name}' per model", where=place, hint=hint)
    found: dict[str, OptionValue] = {}
    for name, declaration in known.items():
        if any(name in options for options, _ in given):
            found[name] = tuple(
                _check_value(options[name], declaration, place_of(options, name, where))
                if name in options
                else shared.get(name)
                for options, where in given
            )
    return found


def _bind_rule(rule: LayerRule, merge: Merge, declared: Mapping[str, Declaration], method: str) -> BoundRule:
    options = dict(_checked(rule.options, declared, method, rule.where))
    if rule.models and len(rule.models) != len(merge.models):
        what = f"the rule has options for {len(rule.models)} models, but {len(merge.models)} are merged"
        raise UsageError(what, where=rule.where, hint="list one mapping for each model, in their order")
    given = [(_inherited(one, model), rule.where) for one, model in zip(rule.models, merge.models, strict=False)]
    options |= _per_model(given, rule.options, declared, method)
    return BoundRule(compile_pattern(rule.match, rule.where), rule, options)


def _inherited(own: Mapping[str, OptionValue], model: Model) -> Mapping[str, OptionValue]:
    """Return a model's options within a rule: its own there, else those that it has everywhere."""
    return Placed({**model.options, **own}, own.places if isinstance(own, Placed) else {})


def _bind_then(merge: Merge, bound: BoundCall) -> BoundCall:
    """Wrap the outcome in each modifier: a method over the one task vector outcome minus base."""
    witnesses = bound.inputs
    for name, options in merge.then:
        method = named_method(name, merge.where)
        if method.takes != "task_vectors" or method.minimum_models > 1:
            raise UsageError(f"{name} cannot follow under then:", where=merge.where, hint="it merges several models")
        if bound.base is None:
            raise UsageError("then: changes outcome minus base and needs a base", where=merge.where, hint="add base:")
        if method.modifier:
            _refuse_scale(method, bound)
        checked = dict(_checked(options, method.options.declarations, method.name, merge.where))
        path, seen = f"{bound.path}.then", witnesses if method.modifier else ()
        bound = BoundCall(path, method, (bound,), bound.base, checked, (), merge.where, seen)
    return bound


def _refuse_scale(method: Method, bound: BoundCall) -> None:
    """A modifier has a coefficient of its own and sees the task vector before any scale, given or by default."""
    for options in (bound.options, *({**bound.options, **rule.options} for rule in bound.rules)):
        if any(scale != 1 for scale in _scales(bound, options)):
            what = f"{method.name} after {bound.method.name} with a scale other than 1"
            hint = f"set the scale of {bound.method.name} to 1: {method.name} scales the task vector"
            raise UsageError(what, where=bound.where, hint=hint)


def _scales(bound: BoundCall, options: Mapping[str, OptionValue]) -> Iterator[OptionValue]:
    """Yield every value of the scale, of all models and depths."""
    declared = bound.method.options.declarations.get("scale")
    given = options.get("scale", declared.default if declared else 1.0)
    for value in given if isinstance(given, tuple) else (given,):
        own = declared.default if value is None and declared else value
        yield from own if isinstance(own, list) else (own,)
