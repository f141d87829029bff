"""Nodes of a traced graph, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import MergeError

if TYPE_CHECKING:
    from torch.fx import Graph, Node

GROUPS_FILE = "describe its groups in a file: --groups FILE"


def is_node(thing: Any) -> bool:
    """Tell whether an argument is the result of another node."""
    from torch.fx import Node

    return isinstance(thing, Node)


def operation(node: Node) -> str:
    """Return the name of the operation of a node, without library and underscores; empty for what is none of torch."""
    schema = getattr(node.target, "_schema", None)
    return schema.name.rpartition("::")[2].strip("_") if schema is not None else ""


def bound(node: Node) -> dict[str, Any]:
    """Return the arguments of a node by the names in its declaration, those left out with their defaults."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return {str(number): value for number, value in enumerate(node.args)} | dict(node.kwargs)
    given = dict(zip((one.name for one in schema.arguments), node.args, strict=False)) | dict(node.kwargs)
    declared = [one for one in schema.arguments if one.name in given or one.has_default_value()]
    return {one.name: given.get(one.name, one.default_value) for one in declared}


def is_in_place(node: Node) -> bool:
    """Tell whether an operation writes into what it is applied to."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def shape_of(node: Any) -> tuple[int, ...]:
    """Return the shape of a node's result."""
    return tuple(node.meta["val"].shape)


def shapes_of(node: Node) -> list[tuple[int, ...]]:
    """Return the shapes of a node's results; none, if it gives no tensor. Raises MergeError when data decide them."""
    found: Any = node.meta.get("val")
    results: Any = found if isinstance(found, list | tuple) else [found]
    shapes = [tuple(one.shape) for one in results if hasattr(one, "shape")]
    if any(not isinstance(size, int) for shape in shapes for size in shape):
        raise MergeError(f"the shape of a tensor depends on the data ({where(node)})", hint=GROUPS_FILE)
    return shapes


def where(node: Node) -> str:
    """Return an operation with the module that it belongs to, for messages."""
    name = operation(node)
    label = f"aten.{name}" if name else getattr(node.target, "__name__", str(node.target))
    paths = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]
    path = module_path(paths[-1]) if paths else ""
    return f"{label} in {path}" if path else label


def module_path(path: str) -> str:
    """Return a module's path as the model itself calls it, without the name that it has while it is traced."""
    parts = [part for part in path.removeprefix("L['self'].").split(".") if part]
    while parts and parts[0] == "module":
        parts = parts[1:]
    return ".".join(parts)


def used(graph: Graph) -> set[Node]:
    """Return the nodes that the outputs depend on, or may depend on since something is written in place."""
    found: set[Node] = set()
    waiting: list[Node] = [node for node in graph.nodes if node.op == "output" or is_in_place(node)]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return found
