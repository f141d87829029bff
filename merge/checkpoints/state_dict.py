"""The tensors by name within what a training program saved: wrappers, prefixes, and what else lies beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import MergeError

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "params_ema", "params")
PREFIXES = ("module.", "_orig_mod.")  # of torch's parallel and compiled modules
_DEPTH = 3  # wrappers in wrappers
SHOWN = 8


def find_state(loaded: Any, where: str) -> tuple[dict[str, Any], list[str]]:
    """Return the tensors of a state dict by name, and what was left out or taken off.

    Args:
        loaded: What the file holds.
        where: The file, for messages.

    Raises:
        MergeError: It holds no tensors by name.
    """
    notes: list[str] = []
    for _ in range(_DEPTH):
        wrapper = _wrapper(loaded)
        if wrapper is None:
            break
        notes += _left_out(loaded, wrapper)
        loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping):
        raise MergeError(f"holds {_kind(loaded)} and no tensors by name", where=where, hint="save a state dict")
    tensors = {name: value for name, value in loaded.items() if isinstance(name, str) and _is_tensor(value)}
    if not tensors:
        known = ", ".join(map(repr, list(loaded)[:SHOWN]))
        raise MergeError(f"holds no tensors by name, but {known or 'nothing'}", where=where, hint="save a state dict")
    _check_names(tensors, where)
    notes += _left_out(loaded, *tensors)
    return _without_prefixes(tensors, notes), notes


def _check_names(tensors: Mapping[str, Any], where: str) -> None:
    for name in tensors:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise MergeError(f"the name {name!r} is no valid text", where=where, hint="the file is damaged") from None


def _wrapper(loaded: Any) -> str | None:
    """Return the key under which the tensors lie, where they do not lie here."""
    if not isinstance(loaded, Mapping):
        return None
    here = _count(loaded, depth=0)
    return next((key for key in WRAPPERS if _count(loaded.get(key)) > here), None)


def _count(value: Any, depth: int = _DEPTH) -> int:
    """Return the number of tensors in a mapping, or if that is more in a wrapper within."""
    if not isinstance(value, Mapping):
        return 0
    inner = max((_count(value.get(key), depth - 1) for key in WRAPPERS), default=0) if depth else 0
    return max(sum(map(_is_tensor, value.values())), inner)


def _left_out(loaded: Mapping[Any, Any], *taken: str) -> list[str]:
    known = set(taken)
    rest = [f"'{key}' ({_kind(value)})" for key, value in loaded.items() if key not in known]
    more = f" and {len(rest) - SHOWN} more" if len(rest) > SHOWN else ""
    return [f"left out: {', '.join(rest[:SHOWN])}{more}"] if rest else []


def _without_prefixes(tensors: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Take a prefix off that every name has."""
    for prefix in PREFIXES * 2:
        if all(name.startswith(prefix) and name != prefix for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
            notes.append(f"the prefix '{prefix}' is taken off all names")
    return tensors


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{len(value)} entries"
    return "a tensor" if _is_tensor(value) else f"a {type(value).__name__}"
