"""Four networks that were trained on the digits from different seeds, brought into one basin."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from merge.alignment.declared import AlignmentOptions
from merge.alignment.derive import derive_groups
from merge.alignment.groups import Groups
from merge.alignment.matching import StateReader, match_many
from merge.alignment.permutations import axis_indices
from merge.evaluation.data import load_digits

State = dict[str, Tensor]
EPOCHS, BATCH, WIDTH = 20, 128, 128


def perceptron() -> nn.Sequential:
    """Return three hidden layers, before they are trained."""
    sizes = [64, WIDTH, WIDTH, WIDTH]
    layers = [layer for one, two in pairwise(sizes) for layer in (nn.Linear(one, two), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(WIDTH, 10))


def prepared(split: str) -> tuple[Tensor, Tensor]:
    """Return images, every pixel standardized over those of the training, and labels."""
    seen, found = torch.as_tensor(load_digits("train").images), load_digits(split)
    deviation = seen.std(0).where(seen.std(0) > 0, 1.0)
    return (torch.as_tensor(found.images) - seen.mean(0)) / deviation, torch.as_tensor(found.labels)


def trained(seed: int, pixels: Tensor, labels: Tensor) -> State:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = perceptron()
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)
        rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
        for _ in range(EPOCHS):
            for chosen in torch.randperm(len(labels)).split(BATCH):
                optimizer.zero_grad()
                functional.cross_entropy(network(pixels[chosen]), labels[chosen]).backward()
                optimizer.step()
            rates.step()
    return {name: tensor.detach() for name, tensor in network.state_dict().items()}


class Four(NamedTuple):
    """Four networks, what may move in them, and the held-out images."""

    states: list[State]
    groups: Groups
    pixels: Tensor
    labels: Tensor
    found: dict[str, list[State]]

    def loss(self, states: list[State]) -> float:
        """Return the loss of the mean of some models."""
        return float(functional.cross_entropy(self._logits(states), self.labels))

    def accuracy(self, states: list[State]) -> float:
        """Return the accuracy of the mean of some models."""
        return float((self._logits(states).argmax(1) == self.labels).float().mean())

    def _logits(self, states: list[State]) -> Tensor:
        mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
        with torch.no_grad():
            return functional_call(perceptron(), mean, (self.pixels,))

    def aligned(self, many: str) -> list[State]:
        """Return all in one order, which is found once."""
        if many not in self.found:
            self.found[many] = self._aligned(many)
        return self.found[many]

    def _aligned(self, many: str) -> list[State]:
        readers = [StateReader(f"model {number}", state) for number, state in enumerate(self.states)]
        found = match_many(readers, self.groups, AlignmentOptions(many=many), 0)
        moved = [permuted(state, self.groups, one.orders) for state, one in zip(self.states[1:], found, strict=True)]
        return [self.states[0], *moved]

    def highest_barrier(self, states: list[State]) -> float:
        """Return by how much the midpoint of any pair is worse than the mean of its ends."""
        ends = [self.loss([state]) for state in states]
        pairs = combinations(range(len(states)), 2)
        return max(self.loss([states[one], states[two]]) - (ends[one] + ends[two]) / 2 for one, two in pairs)


def permuted(state: State, groups: Groups, orders) -> State:
    found = dict(state)
    for name, axes in axis_indices(groups, orders, {name: tuple(one.shape) for name, one in state.items()}).items():
        for axis, index in axes.items():
            found[name] = found[name].index_select(axis, torch.from_numpy(index))
    return found


@pytest.fixture(scope="module")
def four() -> Four:
    states = [trained(seed, *prepared("train")) for seed in range(1, 5)]
    network, (pixels, labels) = perceptron().eval(), prepared("test")
    groups = derive_groups(network, network.state_dict(keep_vars=True), (pixels[:2],))
    return Four(states, groups, pixels, labels, {})


def test_as_they_are_every_pair_has_a_barrier(four):
    assert all(four.accuracy([state]) > 0.93 for state in four.states)
    assert four.highest_barrier(four.states) > 1
    assert four.accuracy(four.states) < 0.5


@pytest.mark.parametrize("many", ["mean", "universe"])
def test_together_all_of_them_lie_in_one_basin(four, many):
    aligned = four.aligned(many)
    for state, other in zip(four.states, aligned, strict=True):
        assert four.loss([state]) == pytest.approx(four.loss([other]), abs=1e-4)  # the same network in another order
    assert four.highest_barrier(aligned) < 0.15 * four.highest_barrier(four.states)
    for count in (2, 3, 4):
        for chosen in combinations(aligned, count):
            assert four.accuracy(list(chosen)) > 0.92


def test_a_universe_brings_them_nearer_together_than_the_others(four):
    losses = {many: four.loss(four.aligned(many)) for many in ("reference", "mean", "universe")}
    assert losses["mean"] < losses["reference"]
    assert losses["universe"] < 1.02 * losses["mean"]
