"""What is computed for one output tensor: a tree of method calls over the models' tensors.

Tensors with the same resolved options share one tree object, which is how the engine sees that neighbours can
be processed as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from .method import Method, Reduction
from .options import Options


@dataclass(frozen=True)
class Input:
    """A tensor of a model, by the position of the model among the plan's sources."""

    source: int


@dataclass(frozen=True, eq=False)
class Call:
    """A method over the outcome of other expressions.

    Attributes:
        path: Where the call stands in the recipe: ``merge``, ``merge.models[1]``. Equal for all tensors.
        base: Subtracted from every input and added to the outcome, for methods that take task vectors.
    """

    path: str
    method: Method
    options: Options
    inputs: tuple[Expression, ...]
    base: Expression | None = None

    @cached_property
    def reductions(self) -> tuple[Reduction, ...]:
        """What the method must know of whole tensors first."""
        return tuple(self.method.reductions(self.options))


Expression = Input | Call


def calls(expression: Expression) -> Iterator[Call]:
    """Yield every call of the tree, inner ones before the calls that use them."""
    if isinstance(expression, Call):
        for child in (*expression.inputs, *([expression.base] if expression.base else [])):
            yield from calls(child)
        yield expression


def sources(expression: Expression) -> Iterator[int]:
    """Yield the source of every input in the tree, repeated where it is used repeatedly."""
    if isinstance(expression, Input):
        yield expression.source
    else:
        for child in (*expression.inputs, *([expression.base] if expression.base else [])):
            yield from sources(child)


def is_positional(expression: Expression) -> bool:
    """Tell whether a piece must know its place in the tensor: then neighbours cannot be processed as one."""
    return any(call.reductions or call.method.seeded for call in calls(expression))
