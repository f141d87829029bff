"""Oracle S2: the greedy soup of four linear rules, worked by hand, under both rules of acceptance."""

from __future__ import annotations

import numpy as np
import pytest

from merge.search.greedy import Score, greedy, rank

POSITIVE = [(1, 0), (0, 1), (1, 1), (2, -1), (-1, 2), (3, -1)]
NEGATIVE = [(-1, -1), (1, -2), (-2, 1), (-1, 3)]
MODELS = np.array([(1, 3.5), (-0.5, 1), (3.5, -0.5), (3, -1.5)])


def score_of(weights):
    scores = np.array(POSITIVE + NEGATIVE) @ weights
    right = (scores > 0) == (np.arange(10) < 6)
    return Score(float(right.mean()), 0.0, 1.0, 10)


def climb(models, **settings):
    alone = [score_of(one) for one in models]
    return greedy(alone, lambda members: score_of(models[list(members)].mean(0)), **settings)


def test_scores_alone():
    assert [score_of(one).value for one in MODELS] == [0.6, 0.5, 0.7, 0.7]


@pytest.mark.parametrize(
    ("accept", "selected", "weights", "best", "tried"),
    [
        ("ge", (2, 3, 0), (2.5, 0.5), 0.8, [(0.7, True), (0.8, True), (0.7, False)]),
        ("gt", (2, 0), (2.25, 1.5), 0.9, [(0.7, False), (0.9, True), (0.9, False)]),
    ],
)
def test_ties_in_the_order_of_the_command_line(accept, selected, weights, best, tried):
    found = climb(MODELS, accept=accept)
    assert (found.order, found.selected, found.best.value) == ((2, 3, 0, 1), selected, best)
    assert MODELS[list(found.selected)].mean(0).tolist() == list(weights)
    assert [(step.score.value, step.accepted) for step in found.steps] == tried


@pytest.mark.parametrize(
    ("accept", "selected", "weights", "best"),
    [("gt", (3, 0, 1), (3.5 / 3, 1.0), 0.9), ("ge", (3, 2, 0), (2.5, 0.5), 0.8)],
)
def test_the_authors_order_of_ties(accept, selected, weights, best):
    order = [3, 2, 0, 1]  # what sorting upwards and turning around makes of the tie
    found = climb(MODELS[order], accept=accept)
    assert tuple(order[number] for number in found.selected) == selected
    assert MODELS[list(selected)].mean(0) == pytest.approx(weights)
    assert found.best.value == best


def test_uniform_is_no_better_here():
    assert MODELS.mean(0).tolist() == [1.75, 0.625]
    assert score_of(MODELS.mean(0)).value == 0.7


def test_a_minimum_gain():
    assert climb(MODELS, minimum_gain=0.05).selected == (2, 0)
    assert climb(MODELS, minimum_gain=0.25).selected == (2,)
    exactly = greedy([Score(0.5, 0, 1, 4)] * 2, lambda members: Score(0.75, 0, 1, 4), accept="gt", minimum_gain=0.25)
    assert exactly.selected == (0,)


@pytest.mark.parametrize(("before", "after", "gain"), [(0.7, 0.9, 0.2), (0.2, 0.3, 0.1), (0.4, 0.6, 0.2)])
def test_a_gain_of_exactly_the_minimum_is_one_whatever_rounding_makes_of_it(before, after, gain):
    scores = [Score(before, 0, 1, 10)] * 2
    for accept, joins in (("ge", True), ("gt", False)):
        found = greedy(scores, lambda members: Score(after, 0, 1, 10), accept=accept, minimum_gain=gain)
        assert (len(found.selected) == 2) is joins


def test_a_loss_is_better_when_lower():
    scores = [Score(value, 0, 9, 4, "loss") for value in (2.0, 1.0, 1.0)]
    assert rank(scores, higher_is_better=False) == (1, 2, 0)
    losses = {(1, 2): 0.5, (1, 2, 0): 0.6}
    found = greedy(scores, lambda members: Score(losses[members], 0, 9, 4), higher_is_better=False)
    assert (found.selected, found.best.value) == ((1, 2), 0.5)


def test_the_best_is_never_below_the_best_alone():
    generator = np.random.default_rng(0)
    for _ in range(50):
        models = generator.normal(loc=1, size=(5, 2))
        assert climb(models).best.value >= max(score_of(one).value for one in models)
