"""Straight-through matching: gradients of the loss halfway, a matching by weights in every step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from planted import distance, moved, shuffled
from running_models import (
    Attention,
    Filters,
    Perceptron,
    attention_groups,
    filters_groups,
    made,
    perceptron_groups,
    state_of,
)
from scipy.optimize import linear_sum_assignment
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from merge.alignment.declared import AlignmentOptions
from merge.alignment.groups import Groups
from merge.alignment.matching import StateReader, match_straight_through, match_weights
from merge.alignment.matching import labelled_loss as labelled_loss_module
from merge.alignment.matching.labelled_loss import LabelledLoss
from merge.calibration.feeds.in_memory import TensorSample, sample_from_tensors, subject_from_module
from merge.errors import MergeError, UsageError
from merge.evaluation.data import load_digits
from merge.evaluation.task import Settings


def pixels(seed: int, classes: int, *shape: int) -> TensorSample:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(shape[0]) % classes
    return sample_from_tensors({"pixels": torch.randn(shape, generator=generator)}, labels)


def tokens(seed: int = 0) -> TensorSample:
    """Texts of 5 tokens of 17; the last one predicts none."""
    found = torch.randint(17, (12, 5), generator=torch.Generator().manual_seed(seed))
    return sample_from_tensors({"tokens": found}, torch.cat([found[:, 1:], torch.full((12, 1), -100)], 1))


CASES = {
    "perceptron": (Perceptron, perceptron_groups, lambda: pixels(0, 3, 30, 6), "classes"),
    "filters": (Filters, filters_groups, lambda: pixels(0, 5, 24, 3, 4, 4), "classes"),
    "attention": (Attention, attention_groups, tokens, "tokens"),
}


def match(
    one: nn.Module,
    other: nn.Module | dict[str, Any],
    sample: Any,
    groups: Groups,
    *,
    predicts: str = "classes",
    batch_size: int = 10,
    seed: int = 0,
    note: Any = None,
    **options: Any,
) -> Any:
    state = state_of(one)
    network = type(one)()
    network.load_state_dict(one.state_dict())
    subject = subject_from_module("one", network, predicts=predicts)
    readers = (
        StateReader("one", state),
        StateReader("other", state_of(other) if isinstance(other, nn.Module) else other),
    )
    given = AlignmentOptions(matching="straight-through", **({"steps": 8} | options))
    settings = Settings(batch_size=batch_size, seed=seed)
    return match_straight_through(subject, sample, readers, groups, given, settings, note=note)


def halfway(one: dict[str, Any], other: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name: (torch.as_tensor(one[name]) + torch.as_tensor(other[name])) / 2 for name in one}


def loss_of(network: nn.Module, state: dict[str, Any], sample: TensorSample) -> torch.Tensor:
    (inputs,) = sample.inputs.values()
    return cross_entropy(functional_call(network, state, (inputs,)), sample.labels)


class Hidden(nn.Module):
    """One hidden layer, so that a step has one assignment problem."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.third = nn.Linear(6, 14), nn.Linear(14, 3)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return self.third(self.first(given).relu())


def hidden_groups() -> Groups:
    (group,) = (group for group in perceptron_groups().groups.values() if group.name == "a")
    kept = [member for member in group.members if member.tensor.startswith("first")]
    last = next(member for member in group.members if member.tensor == "second.weight")
    return Groups({"a": replace(group, members=(*kept, replace(last, tensor="third.weight")))})


def by_hand(a: dict[str, Any], b: dict[str, Any], sample: TensorSample, steps: int, rate: float) -> list[float]:
    """Return the losses halfway of the algorithm as it is written, with the estimator in torch's own terms."""
    network, groups = Hidden(), hidden_groups()
    theta = {name: torch.tensor(array, requires_grad=True) for name, array in a.items()}
    velocity = {name: torch.zeros_like(tensor) for name, tensor in theta.items()}
    order = assigned(a, b)
    losses = []
    for _ in range(steps + 1):
        projected = {name: torch.as_tensor(array) for name, array in moved(b, groups, {"a": order}).items()}
        straight = {name: projected[name] + tensor - tensor.detach() for name, tensor in theta.items()}
        loss = loss_of(network, halfway(a, straight), sample)
        losses.append(float(loss.detach()))
        for name, slope in zip(theta, torch.autograd.grad(loss, list(theta.values())), strict=True):
            length = float(np.linalg.norm(a[name].astype("f8")))
            velocity[name] = 0.9 * velocity[name] + slope * (length / float(slope.double().norm()))
            theta[name].data -= rate * velocity[name]
        order = assigned({name: tensor.detach().numpy() for name, tensor in theta.items()}, b)
    return losses


def assigned(one: dict[str, Any], other: dict[str, Any]) -> Any:
    rows = [np.c_[state["first.weight"], state["first.bias"], state["third.weight"].T] for state in (one, other)]
    return linear_sum_assignment(rows[0].astype("f8") @ rows[1].T.astype("f8"), maximize=True)[1]


def test_the_gradient_passes_straight_to_the_endpoint():
    a, b, sample = made(Hidden, 0), made(Hidden, 1), pixels(0, 3, 30, 6)
    expected = by_hand(state_of(a), state_of(b), sample, 12, 0.05)
    assert len(set(expected)) > 5, "orders change on the way"
    report = match(a, b, sample, hidden_groups(), steps=12, learning_rate=0.05).report.gradients
    level = sum(report.ends) / 2
    np.testing.assert_allclose([report.by_weights, *report.history], np.array(expected) - level, atol=1e-5)
    assert report.step == int(np.argmin(expected))
    assert report.found == pytest.approx(min(expected) - level, abs=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_outcome_is_the_best_that_came_up_and_better_than_weights(case):
    make, groups, sample, predicts = CASES[case][0], CASES[case][1](), CASES[case][2](), CASES[case][3]
    better = 0
    for seed in range(3):
        a, b = made(make, 2 * seed), made(make, 2 * seed + 1)
        found = match(a, b, sample, groups, predicts=predicts, batch_size=1000, steps=15)
        report = found.report.gradients
        assert report.found == min([report.as_it_is, report.by_weights, *report.history])
        better += report.found < report.by_weights
        state = halfway(state_of(a), moved(state_of(b), groups, found.orders))
        network = subject_from_module("it", make().eval(), predicts=predicts)
        network.module.load_state_dict(state)
        loss = LabelledLoss(network, sample, Settings(batch_size=1000)).value()
        assert loss - sum(report.ends) / 2 == pytest.approx(report.found, abs=1e-5)
        plain = match_weights(
            StateReader("a", state_of(a)), StateReader("b", state_of(b)), groups, AlignmentOptions(), 0
        )
        assert found.report.objective_after <= plain.report.objective_after + 1e-6
        assert len(report.history) == 15
    assert better >= 2


def test_a_planted_permutation_is_found():
    groups, sample = perceptron_groups(), pixels(0, 3, 40, 6)
    one = made(Perceptron, 0)
    with torch.no_grad():
        one.third.weight *= 20
        sample.labels = one(sample.inputs["pixels"]).argmax(1)
    found = match(one, shuffled(state_of(one), groups, 1), sample, groups)
    assert distance(state_of(one), moved(shuffled(state_of(one), groups, 1), groups, found.orders)) == 0
    assert found.report.gradients.found == pytest.approx(0, abs=1e-6)
    assert found.report.distance_after == 0 < found.report.distance_before


def test_the_order_as_it_is_counts_too():
    groups, sample = perceptron_groups(), pixels(0, 3, 40, 6)
    one, other = made(Perceptron, 0), made(Perceptron, 1)
    with torch.no_grad():
        middle = halfway(state_of(one), state_of(other))
        middle["third.weight"] = 1000 * middle["third.weight"]
        sample.labels = functional_call(one, middle, (sample.inputs["pixels"],)).argmax(1)
    found = match(one, other, sample, groups, steps=1)
    assert found.report.gradients.found == found.report.gradients.as_it_is < found.report.gradients.by_weights
    assert all((order == np.arange(len(order))).all() for order in found.orders.values())


def test_a_network_stays_as_it_is_beside_itself():
    notes = []
    found = match(made(Perceptron, 0), made(Perceptron, 0), pixels(0, 3, 30, 6), perceptron_groups(), note=notes.append)
    assert all((order == np.arange(len(order))).all() for order in found.orders.values())
    assert found.report.gradients.history == ()
    assert "share an ancestor" in notes[0]


@pytest.mark.parametrize("case", ["perceptron", "attention"])
def test_batches_of_any_size_and_another_run_give_the_same(case):
    make, groups, sample, predicts = CASES[case][0], CASES[case][1](), CASES[case][2](), CASES[case][3]
    a, b = made(make, 0), made(make, 1)
    found = [match(a, b, sample, groups, predicts=predicts, batch_size=size) for size in (3, 100, 100)]
    for name in groups.groups:
        assert all((one.orders[name] == found[0].orders[name]).all() for one in found)
    assert found[0].report.gradients.history == pytest.approx(found[1].report.gradients.history, abs=1e-5)
    assert found[1].report.gradients == found[2].report.gradients


def test_nothing_is_drawn_from_the_global_state():
    network = made(Perceptron, 0)
    subject, state = subject_from_module("it", network), torch.random.get_rng_state()
    readers = StateReader("a", state_of(network)), StateReader("b", shuffled(state_of(network), perceptron_groups(), 0))
    options = AlignmentOptions(matching="straight-through", steps=2)
    match_straight_through(subject, pixels(0, 3, 30, 6), readers, perceptron_groups(), options, Settings())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_items_that_do_not_fit_into_memory_are_prepared_again(monkeypatch):
    sample, groups = pixels(0, 3, 30, 6), perceptron_groups()
    kept = match(made(Perceptron, 0), made(Perceptron, 1), sample, groups)
    monkeypatch.setattr(labelled_loss_module, "MOST_BYTES", 1)
    again = match(made(Perceptron, 0), made(Perceptron, 1), sample, groups)
    assert again.report.gradients == kept.report.gradients


def test_only_the_kinds_that_are_named_move():
    found = match(made(Attention, 0), made(Attention, 1), tokens(), attention_groups(), predicts="tokens", only="heads")
    assert list(found.orders) == ["heads"]


def test_the_start_is_that_of_the_options():
    a, b, groups = made(Perceptron, 0), made(Perceptron, 1), perceptron_groups()
    anchored, identity = (
        match(a, b, pixels(0, 3, 30, 6), groups, init=init, sweeps=1) for init in ("anchored", "identity")
    )
    assert anchored.report.gradients.by_weights != identity.report.gradients.by_weights
    assert anchored.report.gradients.as_it_is == identity.report.gradients.as_it_is


def test_tied_tensors_get_the_gradient_under_each_name():
    class Tied(Attention):
        def __init__(self) -> None:
            super().__init__()
            self.out.weight = self.embed.weight

    a, b = made(Tied, 0), made(Tied, 1)
    report = match(a, b, tokens(), attention_groups(), predicts="tokens", steps=15).report.gradients
    assert report.found <= report.by_weights
    assert len(set(report.history)) > 1


def test_batch_norm_goes_by_the_batch_and_keeps_its_statistics():
    sample, network = pixels(0, 5, 24, 3, 4, 4), made(Filters, 0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    subject = subject_from_module("it", network)
    loss, gradient = LabelledLoss(subject, sample, Settings(batch_size=8)).slope()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not network.training
    training = made(Filters, 0).train()
    parts = [cross_entropy(training(batch.inputs["pixels"]), batch.labels) for batch in sample.batches(8)]
    (sum(parts) / 3).backward()
    assert loss == pytest.approx(float(sum(parts).detach()) / 3, rel=1e-5)
    for mine, its in zip(network.parameters(), training.parameters(), strict=True):
        torch.testing.assert_close(gradient[id(mine)], its.grad, rtol=1e-4, atol=1e-5)


def test_positions_that_predict_nothing_do_not_count():
    sample, network = tokens(), made(Attention, 0)
    loss = LabelledLoss(subject_from_module("it", network, predicts="tokens"), sample, Settings(batch_size=5)).value()
    logits = network(sample.inputs["tokens"])[:, :-1]
    expected = cross_entropy(logits.flatten(0, 1), sample.labels[:, :-1].flatten())
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)


def refused(
    sample: TensorSample, error: type[Exception], words: str, predicts: str = "classes", **weights: float
) -> None:
    one, other = made(Perceptron, 0), made(Perceptron, 1)
    with torch.no_grad():
        for name, value in weights.items():
            getattr(other, name).bias[0] = value
    with pytest.raises(error, match=words):
        match(one, other, sample, perceptron_groups(), predicts=predicts)


def test_what_cannot_be_followed_is_refused():
    plain = pixels(0, 3, 30, 6)
    refused(sample_from_tensors(plain.inputs), UsageError, "has no labels")
    refused(plain, UsageError, "the model has no head", predicts="nothing")
    refused(pixels(0, 4, 30, 6), MergeError, "item 3 of the data has the label 3, and the model has 3 classes")
    refused(plain, MergeError, "the loss is inf|the loss is nan", third=3e38, first=3e38, second=3e38)
    silent = sample_from_tensors(plain.inputs, torch.full((30,), -100))
    refused(silent, MergeError, "no item of the data has anything to predict")
    refused(pixels(0, 3, 30, 5), MergeError, "does not run on pixels")


class Digits(nn.Sequential):
    """Three hidden layers."""

    def __init__(self) -> None:
        layers = [nn.Sequential(nn.Linear(inputs, 128), nn.ReLU()) for inputs in (64, 128, 128)]
        super().__init__(*layers, nn.Linear(128, 10))


def digits_groups() -> Groups:
    from merge.alignment.derive import derive_groups

    network = Digits().eval()
    return derive_groups(network, network.state_dict(keep_vars=True), (torch.zeros(2, 64),))


def digits(split: str) -> TensorSample:
    found = load_digits(split)
    images = torch.from_numpy(found.images[:400]).flatten(1).float()
    return sample_from_tensors({"pixels": (images / images.max() - 0.3) / 0.37}, torch.from_numpy(found.labels[:400]))


@pytest.fixture(scope="module")
def trained() -> list[nn.Module]:
    """Two networks that learned slowly, so that weight matching leaves them apart."""
    found, sample = [], digits("train")
    for seed in (1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = Digits()
            optimizer = torch.optim.Adam(network.parameters(), lr=3e-4)
            for _ in range(15):
                for rows in torch.randperm(len(sample)).split(128):
                    optimizer.zero_grad()
                    cross_entropy(network(sample.inputs["pixels"][rows]), sample.labels[rows]).backward()
                    optimizer.step()
        found.append(network.eval())
    return found


def test_digits_that_weight_matching_leaves_apart_come_together(trained):
    a, b = trained
    sample, unseen, groups = digits("train"), digits("test"), digits_groups()
    plain = match_weights(StateReader("a", state_of(a)), StateReader("b", state_of(b)), groups, AlignmentOptions(), 0)
    found = match(a, b, sample, groups, batch_size=400, steps=40)
    heights = []
    for orders in (plain.orders, found.orders):
        state = halfway(state_of(a), moved(state_of(b), groups, orders))
        heights.append(float(loss_of(Digits(), state, unseen).detach()))
    ends = [float(loss_of(Digits(), dict(one.state_dict()), unseen)) for one in trained]
    before, after = (height - sum(ends) / 2 for height in heights)
    assert after < 0.6 * before, (before, after)
