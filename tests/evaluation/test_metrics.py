"""Metrics and tests against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from merge.errors import MergeError
from merge.evaluation.metrics import accuracy, loss, measure, per_class_accuracy
from merge.evaluation.scoring import Average, Outcome, score
from merge.evaluation.significance import compare, holm, mcnemar


def test_accuracy_with_the_interval_of_wilson():
    measured = accuracy(np.array([True] * 8 + [False] * 2))
    z, p, n = 1.959964, 0.8, 10
    centre, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert measured.value == 0.8
    assert (measured.low, measured.high) == pytest.approx(
        ((centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)), abs=1e-6
    )


def test_loss_is_a_mean_over_images():
    measured = loss(np.array([1.0, 2.0, 3.0]))
    assert measured.value == 2.0
    assert measured.high - measured.value == pytest.approx(1.959964 / math.sqrt(3), abs=1e-6)


def test_per_class_accuracy_weighs_classes_equally():
    labels, correct = np.array([0, 0, 0, 1]), np.array([True, True, True, False])
    measured = per_class_accuracy(correct, labels)
    assert measured.value == 0.5
    assert measured.low < 0.5 < measured.high  # the normal interval would have no width here


def test_score_in_nats_and_for_huge_logits():
    outcome = score(np.array([[0.0, math.log(3)], [1e4, 0.0]], np.float32), np.array([1, 1]))
    assert outcome.correct.tolist() == [True, False]
    assert outcome.losses == pytest.approx([-math.log(0.75), 1e4], rel=1e-6)


def test_accuracy_comes_first():
    outcome = Outcome(np.array([True, False]), np.array([0.1, 0.9]))
    assert [one.metric for one in measure(outcome, np.array([0, 1]))] == ["accuracy", "loss", "per_class_accuracy"]


def test_ensembles_of_logits_and_of_probabilities_differ():
    one, two = np.array([[9.0, 0.0]]), np.array([[0.0, 3.0]])
    averages = {}
    for kind in ("logits", "probs"):
        average = Average(kind, [])
        average.add(one, "a")
        average.add(two, "b")
        averages[kind] = average.logits()
    assert averages["logits"].tolist() == [[4.5, 1.5]]
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    expected = (sigmoid(9) + sigmoid(-3)) / 2
    assert np.exp(averages["probs"])[0, 0] == pytest.approx(expected)


def test_an_ensemble_needs_the_same_classes():
    average = Average("logits", [])
    average.add(np.zeros((2, 3)), "a")
    with pytest.raises(MergeError, match="b: 4 classes, but a has 3"):
        average.add(np.zeros((2, 4)), "b")


@pytest.mark.parametrize(("first", "second", "p"), [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 2 / 32), (1, 9, 22 / 1024)])
def test_exact_mcnemar(first, second, p):
    assert mcnemar(first, second) == pytest.approx(p)
    assert mcnemar(second, first) == pytest.approx(p)


def test_holm_keeps_the_order_of_the_input():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]) == []


def test_every_model_against_the_first():
    def outcome(bits):
        return Outcome(np.array([bit == "1" for bit in bits]), np.zeros(len(bits)))

    rows = compare({"a": outcome("1100"), "b": outcome("1111"), "c": outcome("0100")}, "tiny")
    assert [(row["model"], row["reference"], row["difference"]) for row in rows] == [("b", "a", 0.5), ("c", "a", -0.25)]
    assert (rows[0]["only_model_right"], rows[0]["only_reference_right"]) == (2, 0)
    assert rows[0]["p_value"] == pytest.approx(0.5)
