"""A recipe bound to what exists: methods, positions of opened models, checked options."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ..method import Method
from ..recipe import LayerRule, OptionValue
from .stack_part import Tensors
from .stacks import Taken


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


def children(call: BoundCall) -> Iterator[Bound]:
    """Yield what a call is given, its base first."""
    if call.base is not None:
        yield call.base
    yield from call.inputs


def leaves(bound: Bound) -> Iterator[int]:
    """Yield the sources below, the base of every call first."""
    if isinstance(bound, int):
        yield bound
    else:
        for child in children(bound):
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
    return bound.method.assembles or any(map(assembles, children(bound)))
