"""Candidates and their choice, on handwritten digits: two task vectors of a small network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scaling.scaling_case import data_task, drawn, moved, network, random_state, task_vectors

from merge.evaluation.data import load_digits
from merge.scaling.descent import learn
from merge.scaling.presets import Choice
from merge.scaling.trials import UNIFORM_SCALES

TRAINING = slice(0, 600)
TEACHING, SELECTING = slice(600, 900), slice(900, 1200)


def fit(module, images, labels, epochs):
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(epochs):
        for part in torch.arange(len(images)).split(100):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(images[part]), labels[part]).backward()
            optimizer.step()
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.fixture(scope="module")
def digits():
    """Return the base's state, two experts' states, and images and labels of their tasks."""
    known = load_digits("train")
    labels = torch.from_numpy(known.labels)
    seen = {"plain": known.images, "right": np.roll(known.images, 1, -1), "down": np.roll(known.images, 1, -2)}
    images = {name: torch.from_numpy(np.ascontiguousarray(one)).flatten(1).float() for name, one in seen.items()}
    module = network(64, 32, 10)
    module.load_state_dict(random_state(module, 0, 0.15))
    base = fit(module, images["plain"][TRAINING], labels[TRAINING], 15)
    experts = []
    for name in ("right", "down"):
        module.load_state_dict(base)
        experts.append(fit(module, images[name][TRAINING], labels[TRAINING], 15))
    return base, experts, {name: (images[name], labels) for name in ("right", "down")}


def tasks_of(digits, part, *, labels=True):
    base, _, data = digits
    return [
        data_task(base, images[part], known[part] if labels else None, network(64, 32, 10), name)
        for name, (images, known) in data.items()
    ]


def searched(digits, choice, **more):
    base, experts, _ = digits
    with task_vectors(base, experts) as vectors:
        return learn(vectors, tasks_of(digits, TEACHING), tasks_of(digits, SELECTING), choice, **more)


@pytest.mark.parametrize("partitions", [1, 4])
def test_never_below_the_best_uniform_scale(digits, partitions):
    found = searched(digits, Choice(epochs=8, batch=60, partitions=partitions))
    scores = {row["candidate"]: row["score"] for row in found.trials}
    uniform = max(scores[f"uniform {scale:g}"] for scale in UNIFORM_SCALES)
    assert found.uniform.found.score.value == uniform
    assert found.best.found.score.value == max(scores.values())
    assert found.best.found.score.value > uniform > scores["zero"]
    assert found.best.found.score.n == 600
    assert len(found.history) == 8 * 5
    assert found.history[-1] < found.history[0]
    assert len([name for name in scores if name.startswith("epoch")]) == 8


def test_the_same_again(digits):
    one, other = (searched(digits, Choice(epochs=2, batch=60), seed=3) for _ in range(2))
    assert torch.equal(one.best.coefficients, other.best.coefficients)
    assert one.trials == other.trials
    another = searched(digits, Choice(epochs=2, batch=60), seed=4)
    assert another.history != one.history


def test_task_wise_adamerging_has_one_coefficient_for_each_task_vector(digits):
    choice = Choice("entropy", "model", 1, 0.3, True, None, 30, 16, 1e-2, False, 0.0, None)
    found = searched(digits, choice, labels=False)
    assert found.best.coefficients.shape == (2, 1, 1)
    assert found.best.found.score.metric == "entropy"
    first = next(row for row in found.trials if row["candidate"] == "epoch 1")
    start = next(row for row in found.trials if row["candidate"] == "uniform 0.3")
    assert first["score"] < start["score"]


def test_starting_from_the_best_uniform_scale(digits):
    choice = Choice(start="uniform", learning_rate=1e-9, epochs=1, batch=300, weight_decay=0)
    found = searched(digits, choice)
    last = found.trials[-1]
    assert last["candidate"] == "epoch 1"
    assert last["loss"] == pytest.approx(found.uniform.found.loss, abs=1e-5)


@pytest.mark.parametrize("objective", ["entropy", "pseudo-labels"])
def test_labels_are_not_seen_where_none_are_learned_from(digits, objective):
    choice = Choice(objective, epochs=1, batch=100, learning_rate=1e-3, threshold=0.5)
    base, experts, _ = digits
    found = []
    for labels in (True, False):
        teaching = tasks_of(digits, TEACHING, labels=labels)
        with task_vectors(base, experts) as vectors:
            found.append(learn(vectors, teaching, teaching, choice))
    assert found[0].trials == found[1].trials
    assert torch.equal(found[0].best.coefficients, found[1].best.coefficients)


def test_the_order_of_batches_goes_through_all_items(digits):
    from merge.scaling.descent import _steps

    tasks = tasks_of(digits, TEACHING)
    short = replace(tasks[1], items=replace(tasks[1].items, count=120))
    order = list(_steps([tasks[0], short], Choice(epochs=2, batch=60), 0))
    assert len(order) == 10
    assert [is_end for _, is_end in order] == [False, False, False, False, True] * 2
    assert sorted(first for (first, _), _ in order[:5]) == [0, 1, 2, 3, 4]
    assert sorted(second for (_, second), _ in order[:2]) == [0, 1]


def test_nothing_is_better_than_the_base():
    inputs, _ = drawn(60, 1)
    module = network()
    base = random_state(module, 0)
    module.load_state_dict(base)
    labels = module(inputs).argmax(1)
    task = data_task(base, inputs, labels, module)
    with task_vectors(base, [moved(base, 1)]) as vectors:
        found = learn(vectors, [task], [task], Choice(epochs=2, batch=20))
    assert found.best.kind == "zero"
    assert found.best.coefficients.abs().sum() == 0
