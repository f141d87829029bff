"""Whether groups hold: a model whose units are reordered at random must compute what it computed before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch

from merge.alignment.groups import Group, Groups
from merge.alignment.permutations import axis_indices

Run = Callable[[torch.nn.Module], torch.Tensor]


def perturbed(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Return the module in float64 and evaluation mode, with values in all tensors, so that none is alike by chance."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.is_floating_point() and "inv_freq" not in name:
                noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
                tensor.copy_(noise + 0.5 if "var" in name else tensor + 0.4 * (noise - 0.5))
    return module


def saved(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors as a checkpoint has them: tied ones once."""
    found: dict[str, torch.Tensor] = {}
    pointers: set[int] = set()
    for name, tensor in module.state_dict().items():
        if tensor.numel() == 0 or tensor.data_ptr() not in pointers:
            found[name] = tensor.clone()
        pointers.add(tensor.data_ptr())
    return found


def shapes_of(state: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def random_orders(groups: Groups, names: Iterable[str], seed: int = 0) -> dict[str, np.ndarray]:
    """Return an order that moves something for each of these groups."""
    generator = np.random.default_rng(seed)

    def order(size: int) -> np.ndarray:
        return np.roll(generator.permutation(size), 1) if size > 2 else np.arange(size)[::-1].copy()

    found = {}
    for name in names:
        group = groups.groups[name]
        if group.parent is None:
            found[name] = order(group.size)
        else:
            found[name] = np.stack([order(group.size) for _ in range(groups.groups[group.parent].size)])
    return found


def moved(state: Mapping[str, torch.Tensor], groups: Groups, orders: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the tensors with their axes reordered."""
    found = dict(state)
    for name, axes in axis_indices(groups, orders, shapes_of(state)).items():
        for axis, index in axes.items():
            found[name] = found[name].index_select(axis, torch.from_numpy(np.ascontiguousarray(index)))
    return found


def difference(module: torch.nn.Module, run: Run, groups: Groups, names: Iterable[str], seed: int = 0) -> float:
    """Return the largest change of the output, relative to its largest value, after moving these groups at random."""
    state = saved(module)
    with torch.no_grad():
        wanted = run(module)
        reordered = moved(state, groups, random_orders(groups, names, seed))
        module.load_state_dict(reordered, strict=False)
        found = run(module)
        module.load_state_dict(state, strict=False)
    return float((found - wanted).abs().max() / wanted.abs().max())


def without(group: Group, number: int) -> Group:
    """Return a group that lacks one of its members."""
    members = group.members[:number] + group.members[number + 1 :]
    return Group(group.name, group.size, members, group.kind, group.parent)
