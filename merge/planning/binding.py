"""Bind a recipe to what exists: methods are found, options checked, models opened. Weights are not touched."""

from __future__ import annotations

from collections.abc import Mapping

from ..alignment.declared import BY_DATA, AlignmentOptions, check_together
from ..alignment.kinds import chosen_kinds
from ..errors import UsageError
from ..method import Method
from ..options import Declaration
from ..recipe import Alignment, LayerRule, Merge, Model, OptionValue, Placed, place_of
from .bound import Bound, BoundCall, BoundRule
from .given import checked_options, gathered_by_model
from .joint_statistics import bind_joint, check_widening
from .modifiers import bind_then
from .named import Opens, named_method
from .needed_statistics import bind_statistics
from .patterns import compile_pattern


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
    options = dict(checked_options(merge.options, declared, method.name, merge.where))
    given = [(model.options, model.where) for model in merge.models]
    options |= gathered_by_model(given, merge.options, declared, method.name)
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
    if method.widens:
        check_widening(method, merge, inputs, path)
    statistics = (bind_joint if method.widens else bind_statistics)(method, merge, opener)
    if method.assembles and merge.layers:
        what = f"{method.name} computes nothing that layer rules could change"
        raise UsageError(what, where=merge.layers[0].where, hint="write them within a nested merge")
    wheres = tuple(_place(model) for model in merge.models)
    bound = BoundCall(path, method, inputs, base, options, rules, merge.where, statistics=statistics, wheres=wheres)
    return bind_then(merge, bound)


def _place(model: Model) -> str | None:
    """Return where a model's own options stand, or else the model."""
    return next((place_of(model.options, name, model.where) for name in model.options), model.where)


def _bind_model(model: Model, opener: Opens, base: Bound | None, path: str) -> Bound:
    if isinstance(model.model, Merge):
        return bind(model.model, opener, base=base, path=path)
    if isinstance(model.model, Alignment):
        return _bind_alignment(model, model.model, opener)
    return opener.open(model)


def _bind_alignment(model: Model, alignment: Alignment, opener: Opens) -> int:
    """Check an alignment's options; open what it gives, or while its order is not found the model as it is."""
    declared = AlignmentOptions.declarations
    given = dict(checked_options(alignment.options, declared, "align", alignment.where))
    if alignment.permutations and (given or alignment.groups or alignment.data):
        what = "the order is given by permutations, so that nothing is left to find"
        raise UsageError(what, where=alignment.where, hint="leave the other options out")
    check_together(given, alignment.where)
    chosen_kinds(str(given.get("only", "")), place_of(alignment.options, "only", alignment.where))
    by_data = given.get("matching") in BY_DATA
    if by_data is not bool(alignment.data) and not alignment.permutations:
        what = "needs data" if by_data else "takes no data"
        raise UsageError(f"matching by {given.get('matching', 'weights')} {what}", where=alignment.where)
    opener.open(alignment.to)
    return opener.open_aligned(model, alignment) if alignment.permutations else opener.open(alignment.model)


def _check_count(method: Method, merge: Merge) -> None:
    count, least, most = len(merge.models), method.minimum_models, method.maximum_models
    if count < least or (most is not None and count > most):
        limit = most if most is not None and count > most else least
        wanted = "exactly" if least == most else "at least" if count < least else "at most"
        number = "one model" if limit == 1 else f"{limit} models"
        given = "one was" if count == 1 else f"{count or 'none'} were"
        is_among = method.needs_base and merge.base is None and count > least
        hint = "the base is named apart: --base, or base: in a recipe" if is_among else None
        raise UsageError(f"{method.name} merges {wanted} {number}, but {given} given", where=merge.where, hint=hint)


def _bind_rule(rule: LayerRule, merge: Merge, declared: Mapping[str, Declaration], method: str) -> BoundRule:
    options = dict(checked_options(rule.options, declared, method, rule.where))
    if rule.models and len(rule.models) != len(merge.models):
        what = f"the rule has options for {len(rule.models)} models, but {len(merge.models)} are merged"
        raise UsageError(what, where=rule.where, hint="list one mapping for each model, in their order")
    given = [(_inherited(one, model), rule.where) for one, model in zip(rule.models, merge.models, strict=False)]
    options |= gathered_by_model(given, rule.options, declared, method)
    return BoundRule(compile_pattern(rule.match, rule.where), rule, options)


def _inherited(own: Mapping[str, OptionValue], model: Model) -> Mapping[str, OptionValue]:
    """Return a model's options within a rule: its own there, else those that it has everywhere."""
    return Placed({**model.options, **own}, own.places if isinstance(own, Placed) else {})
