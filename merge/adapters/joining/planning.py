"""A merge of what adapters add, as an ordinary plan: the products are the models, and the base is 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ...checkpoints.checkpoint import Source
from ...checkpoints.header import TensorInfo
from ...errors import UsageError
from ...plan import Plan, make_plan
from ...planning.opening import Opener
from ...planning.rows import Row
from ...program import Call, Input
from ...recipe import Model, Recipe
from .products import ProductsSource, WholeSource, ZeroSource, weight_infos
from .request import Request
from .uniting import United

WEIGHT = ".weight"
CANCELLED = 1e-9  # how far from 1 a sum of weights may be for the base's values to cancel
_BASE = "the base, which is not read"


class _Prepared(Opener):
    """Hands out sources that are there already.

    Args:
        sources: By the identity in memory of the models that they are.
    """

    def __init__(self, sources: Mapping[int, Source]) -> None:
        super().__init__(None)
        self._prepared = sources

    def open(self, model: Model) -> int:
        """Return the position of a model's source."""
        if id(model) not in self.positions:
            self.positions[id(model)] = len(self.sources)
            self.sources.append(self._prepared[id(model)])
        return self.positions[id(model)]


def plan_products(united: United, recipe: Recipe) -> Plan:
    """Plan the merge of what adapters add to weights, in float32.

    Args:
        united: The adapters.
        recipe: Method, options and one model for each adapter, in their order.

    Raises:
        UsageError: The options do not fit the method, or the method does not fit the number of adapters.
    """
    modules = {f"{module}{WEIGHT}": module for module in united.addends}
    tensors = weight_infos({name: united.shape_of(module) for name, module in modules.items()})
    sources = [ProductsSource(member, tensors, modules) for member in united.members]
    return _plan(tensors, sources, recipe)


def plan_whole(united: United, request: Request) -> Plan | None:
    """Plan the merge of tensors that were trained whole, or return None where there are none.

    Raises:
        UsageError: The method works on differences from the base, which is not here.
    """
    found = united.all_whole
    if not found:
        return None
    sources = [
        WholeSource(member, {name: each[number] for name, each in found.items()})
        for number, member in enumerate(united.members)
    ]
    recipe = replace(request.recipe, output=replace(request.recipe.output, dtype=request.dtype))
    plan = _plan(sources[0].tensors, sources, recipe)
    _check_whole(plan, request)
    return plan


def _plan(tensors: Mapping[str, TensorInfo], sources: Sequence[ZeroSource], recipe: Recipe) -> Plan:
    base = Model(_BASE)
    prepared: dict[int, Source] = {id(base): ZeroSource(_BASE, tensors)}
    for model, source in zip(recipe.merge.models, sources, strict=True):
        prepared[id(model)] = source
    return make_plan(replace(recipe, merge=replace(recipe.merge, base=base)), _Prepared(prepared))


def _check_whole(plan: Plan, request: Request) -> None:
    """Refuse methods for which the base's values of a tensor matter; where the factors sum to 1, they cancel."""
    method = request.chosen
    if not method.reads_base(given=True):
        return
    cancel = request.is_sum and all(abs(sum(found) - 1) < CANCELLED for found in coefficients(plan).values())
    if not cancel:
        name = plan.rows[0].name
        what = f"'{name}' was trained whole, and {method.name} needs the base's values of it, which are not read"
        hint = "merge the models BASE+ADAPTER instead, or take a method over weights (soup), or leave it out by --skip"
        raise UsageError(what, hint=hint)


def coefficients(plan: Plan) -> dict[str, list[float]]:
    """Return, by the name of the tensor, the factor of each adapter where the method is a plain sum."""
    return {row.name: _coefficients(row) for row in plan.rows if isinstance(row.expression, Call)}


def _coefficients(row: Row) -> list[float]:
    call = row.expression
    assert isinstance(call, Call)  # noqa: S101 - of a method over models, never a copy
    given: Callable[..., list[float]] = call.method.coefficients  # type: ignore[attr-defined]
    found = dict.fromkeys(range(len(row.tensors)), 0.0)
    for child, factor in zip(call.inputs, given(call.options, None), strict=True):
        assert isinstance(child, Input)  # noqa: S101 - nothing is nested
        found[child.source] += factor
    return [found[number] for number in sorted(found)][1:]
