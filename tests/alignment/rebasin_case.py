"""What the tests of ``merge rebasin`` share: models, their code, and orders that move every unit by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from checkpoint_files import save
from own_class import PERCEPTRON, state

from merge.alignment.groups import Group, Groups, Member
from merge.alignment.permutations_file import Permutations, write_permutations

SOURCE = f"""{PERCEPTRON}

class Branching(Network):
    def forward(self, pixels):
        return super().forward(pixels) if pixels.sum() < 1 else pixels


class Normed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.head = torch.nn.Linear(64, 16), torch.nn.BatchNorm1d(16), torch.nn.Linear(16, 10)

    def example_inputs(self):
        return (torch.zeros(2, 64),)

    def forward(self, pixels):
        return self.head(torch.relu(self.norm(self.first(pixels))))
"""


def two_models(folder: Path) -> None:
    for seed, name in enumerate("ab"):
        save(folder / f"{name}.st", state(seed))


FIRST_MEMBERS = (("fc1.weight", 0), ("fc1.bias", 0), ("fc2.weight", 1))
FIRST = Group("first", 16, tuple(Member(name, axis, (16,)) for name, axis in FIRST_MEMBERS), "mlp")
CLASSES = Group("classes", 10, (Member("head.weight", 0, (10,)), Member("head.bias", 0, (10,))))


def write_orders(path: Path, groups: dict[str, Group]) -> None:
    """Write orders that move every unit by one place."""
    orders = {name: np.roll(np.arange(group.size), 1) for name, group in groups.items()}
    write_permutations(path, Permutations(Groups(groups), orders))
