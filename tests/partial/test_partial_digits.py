"""Accuracy on the digits rises with the budget: members of the same classes, and of other ones."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import pytest
import torch
from running_models import RunningSample
from torch import nn
from wide_models import Pair, joint_of, run_with, wide

from benchmarks.alignment_networks import Images, Perceptron, Training, digits, train
from merge.partial.allocation import ALLOCATIONS
from merge.partial.joint_file import Joint

WIDTH, SAMPLES = 64, 256
BUDGETS = [0.0, 0.25, 0.5, 1.0]


class Members(NamedTuple):
    """Two trained networks, and their joint statistics by data."""

    pair: Pair
    joint: dict[str, Joint]
    parts: list[range]


def trained(seed: int, classes: range) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Perceptron(WIDTH)
        network.head = nn.Linear(WIDTH, len(classes))
    pixels, labels = digits().train
    mine = (labels >= classes.start) & (labels < classes.stop)
    return train(network, Images(pixels[mine], labels[mine] - classes.start), Training(epochs=15), seed)


def members(*parts: range) -> Members:
    pair = trained(1, parts[0]), trained(2, parts[1])
    pixels = digits().train.pixels[:SAMPLES]
    noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
    data = {"data": RunningSample({"pixels": pixels}), "stand-in": RunningSample({"pixels": noise})}
    joint = {name: joint_of(pair, sample) for name, sample in data.items()}
    return Members(pair, joint, list(parts))


@pytest.fixture(scope="module")
def same() -> Members:
    return members(range(10), range(10))


@pytest.fixture(scope="module")
def other() -> Members:
    return members(range(5), range(5, 10))


def own_accuracy(given: Members, outputs: Any) -> float:
    """Return the mean accuracy of each member's classes on its own images."""
    labels, found, start = digits().test.labels, [], 0
    for part in given.parts:
        mine = (labels >= part.start) & (labels < part.stop)
        logits = outputs[mine][:, start : start + len(part)]
        found.append(float((logits.argmax(1) + part.start == labels[mine]).double().mean()))
        start += len(part) if given.parts[0] != given.parts[1] else 0
    return 100 * sum(found) / len(found)


def accuracies(given: Members, data: str, allocation: str, **how: Any) -> list[float]:
    pixels = {"pixels": digits().test.pixels}
    heads = "merged" if given.parts[0] == given.parts[1] else "apart"
    wides = (
        wide(given.pair, given.joint[data], budget, allocation=allocation, heads=heads, **how) for budget in BUDGETS
    )
    return [own_accuracy(given, run_with(given.pair[0], found, pixels)) for found in wides]


@pytest.mark.parametrize("data", ["data", "stand-in"])
@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_accuracy_rises_with_the_budget_to_the_members_own(other: Members, data: str, allocation: str) -> None:
    found = accuracies(other, data, allocation)
    with torch.no_grad():
        apart = torch.cat([module(digits().test.pixels) for module in other.pair], 1)
    assert found[-1] == pytest.approx(own_accuracy(other, apart), abs=1e-9)
    assert found[0] < found[2] < found[3] + 0.5
    assert all(later >= sooner - 1 for sooner, later in itertools.pairwise(found))


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_of_the_same_classes_it_rises_to_the_ensemble(same: Members, allocation: str) -> None:
    found = accuracies(same, "data", allocation)
    with torch.no_grad():
        ensemble = sum(module(digits().test.pixels) for module in same.pair)
    assert found[-1] == pytest.approx(own_accuracy(same, ensemble), abs=0.2)
    assert all(later >= sooner - 0.6 for sooner, later in itertools.pairwise(found))


def test_least_squares_are_worth_more_than_averages(other: Members) -> None:
    solved, plain = accuracies(other, "data", "even"), accuracies(other, "data", "even", ridge=float("inf"))
    assert solved[0] > plain[0] + 1
    assert solved[1] > plain[1] + 1
    assert solved[-1] == pytest.approx(plain[-1], abs=1e-9)
