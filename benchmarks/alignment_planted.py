"""A residual network whose units were put into another order, with noise on top: is the order found again?

Two groups are coupled: the residual stream of 64 units, and the 256 units inside its block. Matching that starts from
the order as it is depends on luck here; one that starts with the tensors whose other axes are known does not.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from merge.alignment.declared import AlignmentOptions
from merge.alignment.groups import Group, Groups, Member
from merge.alignment.matching import StateReader, match_weights
from merge.alignment.permutations import axis_indices

RESIDUAL, INNER, INPUTS, OUTPUTS = 64, 256, 20, 10
SHAPES = {
    "embed.weight": (RESIDUAL, INPUTS),
    "up.weight": (INNER, RESIDUAL),
    "down.weight": (RESIDUAL, INNER),
    "head.weight": (OUTPUTS, RESIDUAL),
}
GROUPS = Groups(
    {
        "residual": Group(
            "residual",
            RESIDUAL,
            tuple(
                Member(name, axis, (RESIDUAL,))
                for name, axis in (("embed.weight", 0), ("up.weight", 1), ("down.weight", 0), ("head.weight", 1))
            ),
            "residual",
        ),
        "inner": Group("inner", INNER, (Member("up.weight", 0, (INNER,)), Member("down.weight", 1, (INNER,))), "mlp"),
    }
)


def recovered(noise: float, seed: int, init: str) -> bool:
    """Tell whether matching finds the planted orders of both groups.

    Args:
        noise: Standard deviation of what is added to the weights, whose own one is 1.
        seed: Of weights, orders and noise, and of the matching.
        init: ``anchored`` or ``identity``.
    """
    generator = torch.Generator().manual_seed(seed)
    first = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    planted = {name: torch.randperm(group.size, generator=generator).numpy() for name, group in GROUPS.groups.items()}
    noisy = {name: one + noise * torch.randn(one.shape, generator=generator) for name, one in first.items()}
    second = _permuted(noisy, planted)
    found = match_weights(
        StateReader("first", first), StateReader("second", second), GROUPS, AlignmentOptions(init=init), seed
    )
    return all(np.array_equal(planted[name][found.orders[name]], np.arange(len(planted[name]))) for name in planted)


def _permuted(state: Mapping[str, Tensor], orders: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    found = dict(state)
    for name, axes in axis_indices(GROUPS, orders, SHAPES).items():
        for axis, index in axes.items():
            found[name] = found[name].index_select(axis, torch.from_numpy(index.copy()))
    return found
