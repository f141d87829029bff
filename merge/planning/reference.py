"""What decides the names, types, shapes and order of the output's tensors, and which models enter each of them."""

from __future__ import annotations

from collections.abc import Sequence

from ..checkpoints.checkpoint import Source
from .bound import Bound, BoundCall, assembles, leaves
from .stack_part import Tensors


class Reference:
    """The pattern of the output: the base, else the first model; part by part where models are assembled.

    Attributes:
        position: Position of the source from whose folder the files beside the weights are copied.
        tensors: The pattern's tensors by their names in the output.
        is_assembled: Whether it has a stack or a join.

    Args:
        bound: The recipe.
        opened: The sources.
    """

    def __init__(self, bound: Bound, opened: Sequence[Source]) -> None:
        self._bound, self._opened = bound, opened
        self.position = next(leaves(bound))
        self.is_assembled = assembles(bound)
        self._used = frozenset(_used(bound, None)) if not self.is_assembled else frozenset()
        self.tensors: Tensors = opened[self.position].tensors
        if self.is_assembled:
            self.tensors = {name: opened[self.origin(name)].tensors[name] for name in _names(bound, opened)}

    def origin(self, name: str) -> int:
        """Return the position of the source that decides about a tensor, and from which it is copied."""
        return _origin(self._bound, name) if self.is_assembled else self.position

    def used(self, name: str) -> frozenset[int]:
        """Return the sources whose values enter a tensor; the base of a method over weights does not."""
        return frozenset(_used(self._bound, name)) if self.is_assembled else self._used


def _names(bound: Bound, opened: Sequence[Source]) -> list[str]:
    """Return the names of an outcome."""
    if isinstance(bound, int):
        return list(opened[bound].tensors)
    if bound.takes:
        return list(bound.takes)
    return _names(bound.base if bound.base is not None else bound.inputs[0], opened)


def _origin(bound: Bound, name: str) -> int:
    while isinstance(bound, BoundCall):
        if bound.takes:
            part, name = bound.takes[name]
            bound = bound.inputs[part]
        else:
            bound = bound.base if bound.base is not None else bound.inputs[0]
    return bound


def _used(bound: Bound, name: str | None) -> set[int]:
    if isinstance(bound, int):
        return {bound}
    if name is not None and name in bound.takes:
        part, inner = bound.takes[name]
        return _used(bound.inputs[part], inner)
    used = set().union(*(_used(child, name) for child in bound.inputs))
    return used | (_used(bound.base, name) if bound.base is not None and bound.reads_base else set())
