"""What must hold between a recipe and the tensors that it is bound to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from ..errors import UsageError
from ..program import calls
from ..recipe import Output
from ..streaming.narrowing import GRIDS
from ..streaming.pieces import moves_bytes
from .bound import Bound, BoundCall, children
from .patterns import compile_pattern, within
from .rows import Row


def keeper(patterns: Sequence[str], names: Collection[str], beside: Collection[str] = ()) -> Callable[[str], object]:
    """Return the test for tensors that stay as the reference has them.

    Args:
        patterns: What was asked for.
        names: All tensors.
        beside: Further tensors that stay, by name.

    Raises:
        UsageError: A pattern matches nothing.
    """
    tests = [within(compile_pattern(pattern), names) for pattern in patterns]
    for pattern, test in zip(patterns, tests, strict=True):
        if not any(test(name) for name in names):
            raise UsageError(f"the pattern '{pattern}' matches no tensor", hint="see the names with: merge inspect")
    if beside:
        tests.append(lambda name: name in beside)
    return (lambda name: any(test(name) for test in tests)) if tests else (lambda name: False)


def check_rules(bound: Bound, names: Collection[str]) -> None:
    """Refuse layer rules, nested ones too, that match no tensor.

    Raises:
        UsageError: With the place of the rule.
    """
    if isinstance(bound, BoundCall):
        for rule in bound.rules:
            test = within(rule.matches, names)
            if not any(test(name) for name in names):
                raise UsageError(f"the pattern '{rule.rule.match}' matches no tensor", where=rule.rule.where)
        own = bound.part_tensors or (names,) * len(bound.inputs)
        for child, known in zip(bound.inputs, own, strict=True):
            check_rules(child, known)
        if bound.base is not None and not bound.method.assembles:
            check_rules(bound.base, names)


def check_rounding(rows: Sequence[Row], output: Output) -> None:
    """Refuse to round stochastically where no tensor is rounded to a type of at most 16 bits.

    Raises:
        UsageError: Saying so.
    """
    if output.rounding == "stochastic" and not any(row.dtype in GRIDS and not moves_bytes(row) for row in rows):
        what = "no tensor is rounded to a type of at most 16 bits, so that stochastic rounding means nothing"
        raise UsageError(what, hint="leave it out, or name such a type with --dtype")


def check_assembled(bound: Bound) -> None:
    """Refuse methods that learn from data in a recipe with a stack or a join, whose tensors have other names.

    Raises:
        UsageError: Naming the method.
    """
    if isinstance(bound, BoundCall):
        if bound.method.statistics:
            what = f"{bound.method.name} cannot be part of a recipe that stacks or joins models"
            raise UsageError(what, where=bound.where, hint="write its outcome first, and name that here")
        for child in children(bound):
            check_assembled(child)


def check_reductions(rows: Sequence[Row], bound: Bound) -> None:
    """Refuse one reduction over the checkpoint that is asked for in different ways here and there.

    Raises:
        UsageError: Naming the method.
    """
    distinct = {id(row.expression): row.expression for row in rows if row.expression is not None}
    wanted: dict[tuple[str, str], Any] = {}
    for expression in distinct.values():
        for call in calls(expression):
            over_all = [reduction for reduction in call.reductions if reduction.scope == "checkpoint"]
            if any(wanted.setdefault((call.path, red.name), red) != red for red in over_all):
                what = f"{call.method.name}: what is ranked over the checkpoint needs the same options for all tensors"
                raise UsageError(what, where=bound.where if isinstance(bound, BoundCall) else None)
