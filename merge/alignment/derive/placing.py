"""What the parameters, buffers and inputs of a traced model carry before the walk begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .factors import Axis
from .nodes import bound, operation, shape_of, used
from .values import Value, free, pinned

if TYPE_CHECKING:
    from torch import Tensor
    from torch.fx import Node

    Placeholder = tuple[Node, Tensor | None, str]

INPUTS = "the model's inputs"
CONSTANT = "a constant of the model's code"
UNPLACED = "in a parameter that no single tensor of the checkpoint is"
UNUSED = "no part of what was traced"
NORMS = ("batch_norm", "instance_norm")
STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class Placed:
    """What is known before the walk.

    Attributes:
        known: By node of the graph.
        axes: Of each tensor of the checkpoint.
        follow: Tensors that move with a group but say nothing about it: running statistics, whose scale is another
            one, and further names of a tied tensor.
    """

    known: Mapping[Node, Value]
    axes: Mapping[str, Sequence[Axis]]
    follow: Sequence[str]


def place(program: Any, module: Any, places: Mapping[str, Tensor]) -> Placed:
    """Give parameters and buffers their axes; inputs are pinned, and buffers that are no running statistics.

    Args:
        program: The traced model.
        module: The same.
        places: Its parameters and buffers by the checkpoint's names; tied ones are one tensor.
    """
    placeholders, live = list(_placeholders(program, module)), used(program.graph)
    quiet = {_identity(tensor) for tensor in _statistics(program, placeholders)}
    seen = {_identity(tensor) for node, tensor, _ in placeholders if tensor is not None and node in live}
    wanted = {_identity(tensor) for tensor in places.values()}
    known: dict[Node, Value] = {}
    starts: dict[Any, Value] = {}
    for node, tensor, reason in placeholders:
        if tensor is None:
            known[node] = pinned(shape_of(node), reason) if hasattr(node.meta.get("val"), "shape") else Value(())
            continue
        key = _identity(tensor)
        why = _why_pinned(key in wanted, key in seen, "" if key in quiet else reason)
        known[node] = starts.setdefault(key, _start(tuple(tensor.shape), why))
    return Placed(known, _axes(places, starts), _following(places, quiet))


def _why_pinned(is_placed: bool, is_used: bool, reason: str) -> str:
    if not is_placed:
        return reason or UNPLACED
    return reason if is_used else UNUSED


def _start(shape: Sequence[int], reason: str) -> Value:
    value = pinned(shape, reason) if reason else free(shape)
    return Value(value.axes, is_weight=True)


def _placeholders(program: Any, module: Any) -> Iterator[Placeholder]:
    """Yield all inputs of a graph: the node, the model's parameter or buffer, and why it is pinned, if it is."""
    signature = program.graph_signature
    for node in program.graph.nodes:
        if node.op != "placeholder":
            continue
        if node.name in signature.inputs_to_parameters:
            path = signature.inputs_to_parameters[node.name].removeprefix("module.")
            yield node, module.get_parameter(path), ""
        elif node.name in signature.inputs_to_buffers:
            path = signature.inputs_to_buffers[node.name].removeprefix("module.")
            yield node, module.get_buffer(path), f"the buffer '{path}'"
        else:
            is_constant = node.name in signature.inputs_to_lifted_tensor_constants
            yield node, None, CONSTANT if is_constant else INPUTS


def _statistics(program: Any, placeholders: Sequence[Placeholder]) -> Iterator[Tensor]:
    """Yield the running statistics of normalisations."""
    tensors: dict[Any, Tensor | None] = {node: tensor for node, tensor, _ in placeholders}
    for node in program.graph.nodes:
        if node.op == "call_function" and operation(node) in NORMS:
            found = [tensors.get(bound(node).get(name)) for name in STATISTICS]
            yield from (tensor for tensor in found if tensor is not None)


def _identity(tensor: Tensor) -> Any:
    """Return what tensors share that are the same memory."""
    return (tensor.data_ptr(), tuple(tensor.shape), tensor.stride()) if tensor.data_ptr() else id(tensor)


def _axes(places: Mapping[str, Tensor], starts: Mapping[Any, Value]) -> dict[str, Sequence[Axis]]:
    """Return the axes of every tensor of the checkpoint; pinned for those that were not traced."""
    found: dict[str, Sequence[Axis]] = {}
    for name, tensor in places.items():
        start = starts.get(_identity(tensor))
        found[name] = pinned(tuple(tensor.shape), UNUSED).axes if start is None else start.axes
    return found


def _following(places: Mapping[str, Tensor], statistics: set[Any]) -> list[str]:
    """Return the names of running statistics, and of tensors that an earlier name stands for."""
    seen, found = set(), []
    for name, tensor in places.items():
        key = _identity(tensor)
        if key in seen or key in statistics:
            found.append(name)
        seen.add(key)
    return found
