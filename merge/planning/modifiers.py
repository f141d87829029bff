"""What stands under ``then:``: methods over the one task vector that the merge before has made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..errors import UsageError
from ..method import Method
from ..recipe import Merge, OptionValue
from .bound import BoundCall
from .given import checked_options
from .named import named_method


def bind_then(merge: Merge, bound: BoundCall) -> BoundCall:
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
        checked = dict(checked_options(options, method.options.declarations, method.name, merge.where))
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
