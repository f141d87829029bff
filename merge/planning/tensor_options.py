"""The options of one call for one tensor: defaults, depth and per-model values filled in."""

from __future__ import annotations

from typing import Any

from ..errors import UsageError
from ..options import REQUIRED, Declaration, Options
from .bound import BoundCall, BoundRule
from .depth import interpolate


def resolve_options(bound: BoundCall, rule: BoundRule | None, depth: float | None, present: tuple[int, ...]) -> Options:
    """Return the method's options with every default, depth and per-model value filled in.

    Raises:
        UsageError: When the method refuses the combination, or cannot do with the models that have the tensor.
    """
    given = dict(bound.options) | dict(rule.options if rule else {})
    try:
        options = _complete(bound, given, depth)
        if len(present) == len(bound.inputs):
            return options
        options = bound.method.for_present(options, present)
        values = {name: getattr(options, name) for name in options.declarations}
        options = bound.method.options(**values | _of_present(options, bound, given, present))
        bound.method.check(options, len(present))
    except UsageError as error:
        raise UsageError(error.what, where=error.where or bound.where, hint=error.hint) from None
    return options


def _complete(bound: BoundCall, given: dict[str, Any], depth: float | None) -> Options:
    """Return the options for a tensor that all models have."""
    values = {
        name: _per_model(declaration, given.get(name), len(bound.inputs), depth)
        if declaration.per_model
        else _at_depth(given.get(name, declaration.default), depth)
        for name, declaration in bound.method.options.declarations.items()
    }
    options = bound.method.options(**values)
    _refuse_missing(bound, options)
    bound.method.check(options, len(bound.witnesses) or len(bound.inputs))
    return options


def _refuse_missing(bound: BoundCall, options: Options) -> None:
    for name, declaration in bound.method.options.declarations.items():
        value = getattr(options, name)
        if value is REQUIRED or (isinstance(value, tuple) and REQUIRED in value):
            hint = f"write '{name}' beside each model, or {declaration.flag}" if declaration.per_model else None
            raise UsageError(f"{bound.method.name} needs '{name}'", hint=hint or f"give {declaration.flag}")


def _at_depth(value: Any, depth: float | None) -> Any:
    return interpolate(value, depth) if isinstance(value, list) and depth is not None else value


def _per_model(declaration: Declaration, given: Any, count: int, depth: float | None) -> tuple[Any, ...]:
    """Return one value per model."""
    default = declaration.default(count) if callable(declaration.default) else declaration.default
    values = given if isinstance(given, tuple) else (given,) * count  # one value, or one course over depth, for all
    return tuple(_at_depth(default if value is None else value, depth) for value in values)


def _of_present(
    options: Options, bound: BoundCall, given: dict[str, Any], present: tuple[int, ...]
) -> dict[str, tuple[Any, ...]]:
    """Return the per-model values of the models that have the tensor.

    Averages over fewer models keep the sum of the weights: a model that lacks the tensor leaves its share to the
    others.
    """
    found = {}
    for name, declaration in bound.method.options.declarations.items():
        if declaration.per_model:
            kept = tuple(getattr(options, name)[number] for number in present)
            shared = kept if name != "weight" else share_out(getattr(options, name), kept)
            by_count = given.get(name) is None and callable(declaration.default)
            found[name] = (declaration.default(len(present)),) * len(present) if by_count else shared
    return found


def share_out(weights: tuple[float, ...], kept: tuple[float, ...]) -> tuple[float, ...]:
    """Return the weights that are kept, multiplied so that they have the sum of all.

    Raises:
        UsageError: When they sum to 0.
    """
    if not sum(kept):
        raise UsageError("the models that have the tensor have a weight of 0 in total")
    factor = sum(weights) / sum(kept)
    return tuple(value * factor for value in kept)
