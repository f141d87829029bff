"""Resolve the options of every call to the numbers of one tensor, and share the result among equal tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..checkpoints.header import TensorInfo
from ..errors import UsageError
from ..method import Place
from ..program import Call, Expression, Input, Statistic
from ..recipe import OptionValue
from .blocks import BlockIndex
from .bound import Bound, BoundCall, BoundRule
from .depth import relative_depth, stack_sizes
from .learned import Learned, inputs_of
from .patterns import Test, within
from .tensor_options import resolve_options


class Resolver:
    """Builds the expression of a tensor from the bound recipe.

    Args:
        bound: The recipe.
        names: The reference's tensors, from whose names the sizes of the stacks are counted.
        learned: The statistics files.

    Attributes:
        decides_by_name: Whether layer rules or courses over depth make options differ from tensor to tensor.
    """

    def __init__(self, bound: BoundCall, names: Mapping[str, TensorInfo], learned: Learned) -> None:
        self._bound, self._learned = bound, learned
        self.decides_by_name = _varies(bound, _has_rules)
        asking = (_asks_place, _has_statistics, _is_selective)
        self._plain = not (self.decides_by_name or any(_varies(bound, asks) for asks in asking))
        self._names = names
        self._stacks = {} if self._plain else stack_sizes(names)
        self._blocks: dict[str, BlockIndex] = {}
        self._calls: dict[object, Call] = {}
        self._everywhere: Expression | None = None
        self._parts: dict[tuple[BoundCall, int], Resolver] = {}
        self._tests: dict[BoundRule, Test] = {}

    def expression(self, name: str, absent: frozenset[int] = frozenset()) -> Expression | None:
        """Return what is computed for this tensor when some sources lack it; None when nothing is left.

        Raises:
            UsageError: For a course over depth on a tensor outside every stack.
        """
        if not self._plain or absent:
            return self._build(self._bound, name, absent)
        if self._everywhere is None:
            self._everywhere = self._build(self._bound, name, absent)
        return self._everywhere

    def _build(self, bound: Bound, name: str, absent: frozenset[int]) -> Expression | None:
        if isinstance(bound, int):
            return None if bound in absent else Input(bound)
        if bound.takes:
            return self._build_part(bound, name, absent)
        rule = next((rule for rule in bound.rules if self._test(rule)(name)), None)
        base = self._build(bound.base, name, absent) if bound.base is not None else None
        if rule and rule.rule.keep:
            return base or self._build(bound.inputs[0], name, absent)
        inputs = [self._build(child, name, absent) for child in bound.inputs]
        if all(child is None for child in inputs):
            return None
        return self._combine(bound, rule, name, inputs, base, absent)

    def _test(self, rule: BoundRule) -> Test:
        """Return the test of a rule's pattern, as it is meant among these names."""
        if rule not in self._tests:
            self._tests[rule] = within(rule.matches, self._names)
        return self._tests[rule]

    def _build_part(self, bound: BoundCall, name: str, absent: frozenset[int]) -> Expression | None:
        """Return what a part of assembled models has for a tensor; rules and depths count in its own names."""
        if name not in bound.takes:  # a nested outcome that lacks what the model beside it has
            return None
        number, inner = bound.takes[name]
        part = bound.inputs[number]
        if isinstance(part, int):
            return None if part in absent else Input(part)
        if (bound, number) not in self._parts:
            self._parts[bound, number] = type(self)(part, bound.part_tensors[number], self._learned)
        return self._parts[bound, number].expression(inner, absent)

    def _combine(
        self,
        bound: BoundCall,
        rule: BoundRule | None,
        name: str,
        inputs: list[Expression | None],
        base: Expression | None,
        absent: frozenset[int],
    ) -> Expression | None:
        """Return the method over its inputs; None stands for one that is absent."""
        if bound.reads_base and base is None:
            return None
        used_base = base if bound.reads_base else None
        given = [child or used_base for child in inputs]  # the base in its place is a task vector of 0
        present = tuple(number for number, child in enumerate(given) if child is not None)
        children = tuple(child for child in given if child is not None)
        depth, place = self._depth(bound, rule, name), self._place(bound, rule, name)
        if bound.method.selective and self._is_left(bound, rule, name, depth):
            return children[0]
        statistics, layout = self._statistics(bound, name, present)
        key = (bound, rule, depth, present, children, used_base, place, statistics, layout)
        if key not in self._calls:
            options = resolve_options(bound, rule, depth, present)
            seen = (self._build(child, name, absent) or base for child in bound.witnesses)
            witnesses = tuple(child for child in seen if child is not None)
            self._calls[key] = Call(
                bound.path, bound.method, options, children, used_base, witnesses, place, statistics, layout
            )
        if layout:
            self._check_rows(bound, self._calls[key], name)
        return self._calls[key]

    def _statistics(self, bound: BoundCall, name: str, present: tuple[int, ...]) -> tuple[tuple[Statistic, ...], str]:
        """Return the statistics of the models that have the tensor."""
        if not bound.statistics or name not in self._names:
            return (), ""
        return self._learned.of_call(bound, name, self._names[name].shape, present)

    def _is_left(self, bound: BoundCall, rule: BoundRule | None, name: str, depth: float | None) -> bool:
        """Tell whether the method leaves a tensor as it is."""
        known = self._names.get(name)
        options = resolve_options(bound, rule, depth, tuple(range(len(bound.inputs))))
        return known is not None and bound.method.leaves(name, known.shape, options)

    def _check_rows(self, bound: BoundCall, call: Call, name: str) -> None:
        """Let the method refuse Gram matrices that are means over too few rows."""
        rows = self._learned.rows(bound, name)
        if rows is None:
            return
        try:
            bound.method.check_rows(call.options, inputs_of(call, self._names[name].shape), rows)
        except UsageError as error:
            raise UsageError(f"tensor '{name}': {error.what}", where=bound.where, hint=error.hint) from None

    def _place(self, bound: BoundCall, rule: BoundRule | None, name: str) -> Place:
        given = dict(bound.options) | dict(rule.options if rule else {})
        if not bound.method.asks_place(given):
            return Place()
        pattern = str(given.get("pattern", ""))
        if pattern not in self._blocks:
            try:
                self._blocks[pattern] = BlockIndex(self._names, pattern)
            except UsageError as error:
                raise UsageError(f"{bound.method.name}: {error.what}", where=bound.where, hint=error.hint) from None
        return self._blocks[pattern].place(name)

    def _depth(self, bound: BoundCall, rule: BoundRule | None, name: str) -> float | None:
        """Return the tensor's depth where an option depends on it, else None, so that equal tensors share a call."""
        given = dict(bound.options) | dict(rule.options if rule else {})
        if not any(_is_course(value) for value in given.values()):
            return None
        depth = relative_depth(name, self._stacks)
        if depth is None:
            courses = next(option for option, value in given.items() if _is_course(value))
            raise UsageError(
                f"'{courses}' is a list over depth, but '{name}' is in no stack of blocks",
                where=rule.rule.where if rule else bound.where,
                hint="match only tensors inside blocks, or give one value",
            )
        return depth


def _varies(bound: Bound, differs: Callable[[BoundCall], bool]) -> bool:
    """Tell whether a call of the tree differs from tensor to tensor."""
    if isinstance(bound, int):
        return False
    children = [*bound.inputs, *([bound.base] if bound.base is not None else [])]
    return differs(bound) or any(_varies(child, differs) for child in children)


def _asks_place(call: BoundCall) -> bool:
    rules = [rule.options for rule in call.rules]
    return any(call.method.asks_place({**call.options, **options}) for options in (*rules, {}))


def _has_statistics(call: BoundCall) -> bool:
    return bool(call.statistics)


def _is_selective(call: BoundCall) -> bool:
    return call.method.selective


def _has_rules(call: BoundCall) -> bool:
    return call.method.assembles or bool(call.rules) or any(map(_is_course, call.options.values()))


def _is_course(value: OptionValue) -> bool:
    return isinstance(value, list) or (isinstance(value, tuple) and any(isinstance(item, list) for item in value))
