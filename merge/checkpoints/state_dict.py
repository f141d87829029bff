"""The tensors by name within what a training program saved: wrappers, prefixes, and what else lies beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import MergeError
from .choice import CHOICE
from .foreign import zero_refusal
from .saved_parts import described, is_tensor, listed, tensor_count
from .stand_ins import StandIn

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "params_ema", "params")
AVERAGED = ("state_dict_ema", "model_state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "module_ema")
PREFIXES = ("module.", "_orig_mod.")  # of torch's parallel and compiled modules
_SEGMENTS = ("._orig_mod.", "._fsdp_wrapped_module.", "._checkpoint_wrapped_module.")  # of the same, further inside
_TRAINING = ("optim", "lr_sched", "scheduler", "scaler", "grad_scaler", "callbacks", "loops", "amp", "rng", "random")
_ZERO = ("ds_version", "param_shapes", "zero_stage", "ds_config")  # what DeepSpeed saves beside weights
_DEPTH = 4  # wrappers in wrappers
SHOWN = 8


def find_state(loaded: Any, where: str, chosen: str = "") -> tuple[dict[str, Any], list[str]]:
    """Return the tensors of a state dict by name, and what was left out or taken off.

    Args:
        loaded: What the file holds.
        where: The file, for messages.
        chosen: The wrapper that the user wants, with a dot before each one within it; or nothing.

    Raises:
        MergeError: It holds no tensors by name.
    """
    _refuse_object(loaded, where)
    notes: list[str] = []
    around = f"{where}{CHOICE}"
    for _ in range(_DEPTH):
        wrapper = _chosen(loaded, chosen, where) if chosen else _wrapper(loaded, where, around)
        if wrapper is None:
            break
        chosen, around = chosen.removeprefix(wrapper).removeprefix("."), f"{around}{wrapper}."
        notes += _other_weights(loaded, wrapper, where)
        notes += _left_out(loaded, wrapper)
        _refuse_parts(loaded, loaded[wrapper], where)
        loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping):
        raise MergeError(f"holds {described(loaded)} and no tensors by name", where=where, hint="save a state dict")
    tensors = {name: value for name, value in loaded.items() if isinstance(name, str) and is_tensor(value)}
    if not tensors:
        known = ", ".join(map(repr, list(loaded)[:SHOWN]))
        raise MergeError(f"holds no tensors by name, but {known or 'nothing'}", where=where, hint="save a state dict")
    _check_names(tensors, where)
    notes += _left_out(loaded, *tensors)
    return _without_prefixes(tensors, notes), notes


def _refuse_object(loaded: Any, where: str) -> None:
    if isinstance(loaded, StandIn):
        hint = "where you trust it, load it and save its state dict: torch.save(model.state_dict(), 'weights.pt')"
        what = f"this is a whole object ('{loaded.stands_for}') and no state dict; nothing of it was executed"
        raise MergeError(what, where=where, hint=hint)


def _refuse_parts(loaded: Mapping[Any, Any], taken: Any, where: str) -> None:
    """Refuse a file of DeepSpeed in which the weights have no entries, since they lie in other files."""
    if any(key in loaded for key in _ZERO) and isinstance(taken, Mapping):
        tensors = [value for value in taken.values() if is_tensor(value)]
        if 2 * sum(not tensor.numel() for tensor in tensors) > len(tensors):  # the smallest may be whole
            raise zero_refusal(where)


def _check_names(tensors: Mapping[str, Any], where: str) -> None:
    for name in tensors:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise MergeError(f"the name {name!r} is no valid text", where=where, hint="the file is damaged") from None


def _chosen(loaded: Any, chosen: str, where: str) -> str:
    """Return the wrapper that the user wants, or the one that it lies in."""
    found = _candidates(loaded) if isinstance(loaded, Mapping) else []
    wrapper = next((key for key in found if f"{chosen}.".startswith(f"{key}.")), None)
    if wrapper is None:
        hint = f"weights are under {', '.join(map(repr, found))}" if found else "name the file alone"
        raise MergeError(f"has no weights under '{chosen}'", where=where, hint=hint)
    return wrapper


def _wrapper(loaded: Any, where: str, around: str) -> str | None:
    """Return the key under which the tensors lie, where they do not lie here."""
    if not isinstance(loaded, Mapping):
        return None
    here = sum(map(is_tensor, loaded.values()))
    known = next((key for key in (*WRAPPERS, *AVERAGED) if tensor_count(loaded.get(key)) > here), None)
    if known is not None or here:
        return known
    if "optimizer_state_dict" in loaded and any(key in loaded for key in _ZERO):
        raise zero_refusal(where)
    candidates = _candidates(loaded)
    if len(candidates) > 1:
        what = f"holds weights under {', '.join(map(repr, candidates[:SHOWN]))}, and one of them is wanted"
        raise MergeError(what, where=where, hint=f"name it: {around}{candidates[0]}")
    return candidates[0] if candidates else None


def _candidates(loaded: Mapping[Any, Any]) -> list[str]:
    """Return the keys under which there are tensors that are no state of a training program."""
    names = [key for key in loaded if isinstance(key, str) and not key.lower().startswith(_TRAINING)]
    return [key for key in names if isinstance(loaded[key], Mapping) and tensor_count(loaded[key])]


def _other_weights(loaded: Mapping[Any, Any], taken: str, where: str) -> list[str]:
    """Return a note on averaged weights beside those that are taken, or the other way round."""
    others = [key for key in (*WRAPPERS, *AVERAGED) if key != taken and tensor_count(loaded.get(key))]
    if not others or not ({taken, *others} & {*AVERAGED, "params_ema"}):
        return []
    names = " and ".join(f"'{key}'" for key in others)
    return [f"the weights under '{taken}' are taken; those under {names} are named by {where}{CHOICE}{others[0]}"]


def _left_out(loaded: Mapping[Any, Any], *taken: str) -> list[str]:
    known = set(taken)
    return listed({key: value for key, value in loaded.items() if key not in known}, SHOWN)


def _without_prefixes(tensors: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Take a prefix off that every name has, and the names of wrapping modules out of those that have them."""
    for prefix in PREFIXES * 2:
        if all(name.startswith(prefix) and name != prefix for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
            notes.append(f"the prefix '{prefix}' is taken off all names")
    for segment in _SEGMENTS:
        changed = {name: name.replace(segment, ".") for name in tensors if segment in name}
        if changed and len({changed.get(name, name) for name in tensors}) == len(tensors):
            tensors = {changed.get(name, name): tensor for name, tensor in tensors.items()}
            notes.append(f"'{segment[1:]}' is taken out of {len(changed):,} names")
    return tensors
