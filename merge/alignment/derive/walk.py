"""A walk through a traced model, operation by operation, that finds which axes carry the same units."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import (  # noqa: F401 - each enters what it knows into the table; so do the shapes, by way of the stacks
    attention,
    convolutions,
    elementwise,
    indexing,
    joining,
    norms,
    products,
    reductions,
)
from .calls import HANDLERS, Call, Marks
from .nodes import bound, is_node, operation, shapes_of, where
from .stacks import MOVES, moved, stacked
from .unknown import unknown
from .values import EMPTY, Known, Stack, Value, pin_values, pinned

if TYPE_CHECKING:
    from torch.fx import Graph, Node

OUTPUTS = "the model's outputs"


@dataclass
class Walk:
    """What is known of all tensors.

    Attributes:
        known: By node of the graph.
        values: Every tensor that was seen, in order.
        marks: How axes were used.
    """

    known: dict[Node, Known] = field(default_factory=dict)
    values: list[Value] = field(default_factory=list)
    marks: Marks = field(default_factory=Marks)

    def run(self, graph: Graph, placeholders: Mapping[Node, Value]) -> None:
        """Walk through a graph.

        Args:
            graph: Operations of torch, as ``torch.export`` writes them.
            placeholders: What its parameters, buffers and inputs carry.

        Raises:
            MergeError: The shape of a tensor depends on data.
        """
        self.known |= placeholders
        self.values += placeholders.values()
        for node in graph.nodes:
            if node.op == "call_function":
                self.known[node] = found = self._result(node)
                self.values += _tensors(found)
            elif node.op == "output":
                pin_values(_tensors(self._looked_up(node.args)), OUTPUTS)

    def _result(self, node: Node) -> Known:
        given: Any = node.args
        if node.target is operator.getitem:
            several: Any = self.known[given[0]]
            return several[given[1]] if isinstance(several, list | tuple) else None
        shapes = shapes_of(node)
        if not shapes:
            return None
        value = self.known.get(given[0]) if given and is_node(given[0]) else None
        if isinstance(value, Stack):
            return self._of_stack(node, value)
        return (stacked(value, node) if isinstance(value, Value) else None) or self._handled(node, shapes)

    def _handled(self, node: Node, shapes: list[tuple[int, ...]]) -> Known:
        call = Call(operation(node), where(node), self._arguments(node), shapes, self.marks)
        if all(0 in shape for shape in shapes):  # tells nothing of what went in
            return pinned(shapes[0], EMPTY) if len(shapes) == 1 else [pinned(shape, EMPTY) for shape in shapes]
        found = HANDLERS.get(call.operation, unknown)(call)
        if [value.shape for value in _tensors(found)] != shapes:  # a form of the operation that was not thought of
            found = unknown(call)
        is_weight = bool(call.tensors) and all(value.is_weight for value in call.tensors)
        return Value(found.axes, is_weight) if isinstance(found, Value) else found

    def _of_stack(self, node: Node, stack: Stack) -> Known:
        """Do with each part what is done with the whole, or take a part."""
        if operation(node) in MOVES:
            along = moved(node, stack.along)
            parts = [self._part(node, part) for part in stack.values]
            return Stack(tuple(parts), along if along is not None else stack.along)
        along = stack.along
        taken = [Value((*part.axes[:along], *part.axes[along + 1 :]), part.is_weight) for part in stack.values]
        return taken if operation(node) == "unbind" else taken[bound(node)["index"]]

    def _part(self, node: Node, part: Value) -> Value:
        """Return a part after an operation that moves axes."""
        name, shape, arguments = operation(node), list(part.shape), self._arguments(node)
        if name == "unsqueeze":
            shape.insert(arguments["dim"] % (len(shape) + 1), 1)
        elif name == "squeeze" and shape[arguments["dim"]] == 1:
            del shape[arguments["dim"]]
        found = HANDLERS[name](Call(name, where(node), {**arguments, "self": part}, [tuple(shape)], self.marks))
        assert isinstance(found, Value)  # noqa: S101 - to move axes gives one tensor
        return Value(found.axes, part.is_weight)

    def _arguments(self, node: Node) -> dict[str, Any]:
        """Return the arguments of a node by name, with what is known of tensors."""
        return {name: self._looked_up(value) for name, value in bound(node).items()}

    def _looked_up(self, given: Any) -> Any:
        if is_node(given):
            return self.known.get(given)
        if isinstance(given, list | tuple):
            return [self._looked_up(one) for one in given]
        return given


def _tensors(known: Any) -> list[Value]:
    if isinstance(known, Value):
        return [known]
    if isinstance(known, Stack):
        return list(known.values)
    if isinstance(known, dict):
        known = list(known.values())
    return [value for one in known for value in _tensors(one)] if isinstance(known, list | tuple) else []
