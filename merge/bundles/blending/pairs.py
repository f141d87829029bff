"""Which modules of two networks hold tensors that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from ...errors import MergeError, some_of


@dataclass(frozen=True)
class Pair:
    """A module of the first network and its counterpart.

    Attributes:
        name: The module's name; empty for the network itself.
        first: The module.
        second: Its counterpart in the second network.
        differing: The names of its own floating parameters and buffers whose values differ; children's are not its own.
    """

    name: str
    first: nn.Module
    second: nn.Module
    differing: tuple[str, ...]


def own_tensors(module: nn.Module) -> Mapping[str, Tensor]:
    """Return a module's own floating parameters and buffers by name.

    Not by attribute: those may be interpolated at the moment (see ``reading.py``).
    """
    held = {**module._parameters, **module._buffers}
    return {name: tensor for name, tensor in held.items() if tensor is not None and tensor.is_floating_point()}


def own_tensor(module: nn.Module, name: str) -> Tensor:
    """Return one of them."""
    parameter = module._parameters.get(name)
    return cast("Tensor", module._buffers[name]) if parameter is None else parameter


def pairs_of(first: nn.Module, second: nn.Module, where: str) -> tuple[Pair, ...]:
    """Return all modules with their counterparts.

    Raises:
        MergeError: When the networks cannot be interpolated: other names, shapes, types, devices or module classes, a
            network in training mode, or a compiled one.
    """
    _refuse_runnable_only(first, where)
    _refuse_others(dict(_described(first)), dict(_described(second)), where)
    counterparts = dict(second.named_modules(remove_duplicate=False))
    _refuse_modules(first, counterparts, where)
    return tuple(
        Pair(name, module, counterparts[name], _differing(module, counterparts[name]))
        for name, module in first.named_modules()
    )


def _differing(first: nn.Module, second: nn.Module) -> tuple[str, ...]:
    other = own_tensors(second)
    return tuple(name for name, tensor in own_tensors(first).items() if not torch.equal(tensor, other[name]))


def _refuse_runnable_only(first: nn.Module, where: str) -> None:
    training = [name or "the network itself" for name, module in first.named_modules() if module.training]
    if training:
        raise MergeError(
            f"{len(training)} modules are in training mode, {training[0]} for one", where=where, hint="call eval()"
        )
    if any(isinstance(module, torch.jit.ScriptModule) for module in first.modules()):
        raise MergeError("compiled modules cannot be interpolated", where=where, hint="build the network in Python")


def _described(network: nn.Module) -> Iterator[tuple[str, str]]:
    for name, module in network.named_modules(remove_duplicate=False):
        for own, tensor in own_tensors(module).items():
            kind = str(tensor.dtype).removeprefix("torch.")
            yield f"{name}.{own}".lstrip("."), f"{kind} {list(tensor.shape)} on {tensor.device}"


def _refuse_others(first: Mapping[str, str], second: Mapping[str, str], where: str) -> None:
    """Raise an error that shows some of the tensors which one network lacks or has otherwise."""
    wrong = [
        f"{name} ({first.get(name, 'absent')} / {second.get(name, 'absent')})"
        for name in {**first, **second}
        if first.get(name) != second.get(name)
    ]
    if wrong:
        raise MergeError(f"the networks differ in {len(wrong)} tensors: {some_of(wrong)}", where=where)


def _refuse_modules(first: nn.Module, counterparts: Mapping[str, nn.Module], where: str) -> None:
    wrong = [
        f"{name or 'the network itself'} ({type(module).__name__} / {type(counterparts.get(name)).__name__})"
        for name, module in first.named_modules()
        if type(module).__qualname__ != type(counterparts.get(name)).__qualname__
    ]
    if wrong:
        raise MergeError(f"the networks differ in the class of {len(wrong)} modules: {some_of(wrong)}", where=where)
