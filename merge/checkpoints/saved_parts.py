"""What lies beside weights in a file of a training program: how many tensors, of which size, in a few words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import some_of
from .space import human
from .stand_ins import StandIn

_DEPTH = 6  # of mappings and lists within each other


def is_tensor(value: Any) -> bool:
    """Tell whether something is a tensor of torch."""
    import torch

    return isinstance(value, torch.Tensor)


def tensor_count(value: Any, depth: int = _DEPTH) -> int:
    """Return the number of tensors in a mapping, or if that is more, in a mapping within it."""
    if not isinstance(value, Mapping) or not depth:
        return 0
    inner = max((tensor_count(part, depth - 1) for part in value.values()), default=0)
    return max(sum(map(is_tensor, value.values())), inner)


def described(value: Any) -> str:
    """Return in a few words what a value is, and how large the tensors in it are."""
    size = human(sum(tensor.numel() * tensor.element_size() for tensor in _tensors(value)))
    if is_tensor(value):
        return f"a tensor of {size}"
    if isinstance(value, StandIn):
        return f"a {value.stands_for}"
    if isinstance(value, bool | int | float):
        return f"{value}"
    if not isinstance(value, Mapping | list | tuple):
        return f"a {type(value).__name__}"
    kind = "" if isinstance(value, Mapping) else f"a {type(value).__name__} of "
    count = f"{kind}{len(value)} {'entry' if len(value) == 1 else 'entries'}"
    return f"{count}, {size}" if next(_tensors(value), None) is not None else count


def listed(values: Mapping[Any, Any], shown: int) -> list[str]:
    """Return a note on what is left out, where something is."""
    rest = (f"'{key}' ({described(value)})" for key, value in values.items())
    return [f"left out: {some_of(rest, shown)}"] if values else []


def _tensors(value: Any, depth: int = _DEPTH) -> Iterator[Any]:
    """Yield the tensors in mappings and lists."""
    if is_tensor(value):
        yield value
    elif depth and isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(part, depth - 1)
