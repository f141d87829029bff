"""What is computed for one output tensor: a tree of method calls over the models' tensors.

Tensors with the same resolved options share one tree object, which is how the engine sees that neighbours can
be processed as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter

from .method import NOWHERE, Access, Method, Place
from .options import Options
from .reduction import Reduction


@dataclass(frozen=True)
class Input:
    """A tensor of a model, by the position of the model among the plan's sources."""

    source: int


@dataclass(frozen=True)
class Statistic:
    """What a statistics file has for a tensor.

    Attributes:
        source: Position of the file among the plan's sources.
        aligned: Whether it has the tensor's own shape, and is read along with it; else it is read as a whole.
        again: Whether it serves another tensor in the first place, to which this one is tied.
    """

    source: int
    aligned: bool
    again: bool = False


@dataclass(frozen=True, eq=False)
class Call:
    """A method over the outcome of other expressions.

    Attributes:
        path: Where the call stands in the recipe: ``merge``, ``merge.models[1]``. Equal for all tensors.
        base: What the method's `takes` needs of the base.
        witnesses: Further inputs that only its reductions see.
        place: Where the tensor lies in its stack, for methods that ask for it.
        statistics: Those of each model, empty where the tensor has none.
        layout: How the tensor forms a matrix, where it has Gram matrices.
    """

    path: str
    method: Method
    options: Options
    inputs: tuple[Expression, ...]
    base: Expression | None = None
    witnesses: tuple[Expression, ...] = ()
    place: Place = NOWHERE
    statistics: tuple[Statistic, ...] = ()
    layout: str = ""

    @cached_property
    def access(self) -> Access:
        """The portions that the method must be called with; any where it lacks the statistics that it would need."""
        if self.method.statistics and not self.statistics:
            return "flat"
        return self.method.access(self.options)

    @cached_property
    def portion(self) -> Access:
        """The portions in which this tree can be computed: the widest that one of its methods needs."""
        return max((call.access for call in calls(self)), key=_WIDTH.index)

    @cached_property
    def reductions(self) -> tuple[Reduction, ...]:
        """What the method must know of whole tensors first."""
        return tuple(self.method.reductions(self.options))


Expression = Input | Call
_WIDTH: tuple[Access, ...] = ("flat", "rows", "whole")


def calls(expression: Expression) -> Iterator[Call]:
    """Yield every call of the tree, inner ones before the calls that use them."""
    if isinstance(expression, Call):
        for child in (*expression.inputs, *([expression.base] if expression.base else [])):
            yield from calls(child)
        yield expression


def reduction_order(expressions: Iterable[Expression]) -> list[tuple[str, str]]:
    """Return path and name of every reduction of any tensor, each after all that it may look at.

    A reduction sees the outcome of the calls below its own, and of those that its method lists before it. Which of
    them are needed may differ from tensor to tensor, so the order follows from all expressions together.
    """
    before: dict[tuple[str, str], dict[tuple[str, str], None]] = {}
    for expression in expressions:
        for call in calls(expression):
            known = [(below.path, red.name) for below in calls(call) if below is not call for red in below.reductions]
            for reduction in call.reductions:
                before.setdefault((call.path, reduction.name), {}).update(dict.fromkeys(known))
                known.append((call.path, reduction.name))
    return list(TopologicalSorter(before).static_order())


def sources(expression: Expression) -> Iterator[int]:
    """Yield the source of every input in the tree, repeated where it is used repeatedly."""
    if isinstance(expression, Input):
        yield expression.source
    else:
        for child in (*expression.inputs, *([expression.base] if expression.base else [])):
            yield from sources(child)


def statistics(expression: Expression | None) -> Iterator[Statistic]:
    """Yield the statistics that any call of the tree uses."""
    for call in calls(expression) if expression is not None else ():
        yield from call.statistics


def is_positional(expression: Expression) -> bool:
    """Tell whether a piece must know its place in the tensor: then neighbours cannot be processed as one."""
    return any(
        call.reductions or call.method.seeded or call.access != "flat" or _reads_aside(call)
        for call in calls(expression)
    )


def _reads_aside(call: Call) -> bool:
    """Tell whether a call has statistics that are not read along with the tensor, but belong to it as a whole."""
    return any(not statistic.aligned for statistic in call.statistics)
