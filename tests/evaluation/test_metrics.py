"""Metrics and tests against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from merge.errors import MergeError
from merge.evaluation.calibration import calibration_bins
from merge.evaluation.ensemble import Average
from merge.evaluation.metrics import accuracy, calibration_error, loss, per_class_accuracy, top_accuracy
from merge.evaluation.outcome import Outcome
from merge.evaluation.scoring import score
from merge.evaluation.significance import compare, correct_for_all, holm, mcnemar, permutation
from merge.evaluation.summary import averages, paired_ratio


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
    outcome = score(np.array([[0.0, math.log(3)], [1e4, 0.0]], np.float32), np.array([1, 1]), head="own")
    assert outcome.items.tolist() == [True, False]
    assert outcome.measure("loss").value == pytest.approx((-math.log(0.75) + 1e4) / 2, rel=1e-6)


def test_accuracy_comes_first():
    outcome = score(np.eye(7)[:2], np.array([0, 1]), head="own")
    metrics = [one.metric for one in outcome.measures]
    assert metrics == ["accuracy", "loss", "per_class_accuracy", "calibration_error", "top5_accuracy"]


def test_calibration_error_by_hand():
    # Two bins: (13/15, 14/15] with mean confidence 0.9 and 1 of 2 right; (14/15, 1] with 1.0 and 2 of 2 right.
    bins = calibration_bins(np.array([0.9, 0.9, 1.0, 1.0]), np.array([True, False, True, True]))
    assert [(one["n"], one["right"]) for one in bins] == [(2, 1), (2, 2)]
    measured = calibration_error(bins)
    assert measured.value == pytest.approx(0.5 * 0.4)
    assert 0 <= measured.low < measured.value < measured.high <= 1


def test_a_confidence_on_a_border_belongs_to_the_lower_bin():
    assert [one["high"] for one in calibration_bins(np.array([1 / 15, 0.0]), np.array([True, True]))] == [1 / 15]


def test_the_label_among_the_highest_five():
    logits = np.array([[5.0, 4, 3, 2, 1, 0], [5, 4, 3, 2, 1, 1], [0, 0, 0, 0, 0, 0]])
    assert top_accuracy(logits, np.array([4, 5, 4]), 5).value == pytest.approx(2 / 3)


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


def outcome_of(bits):
    return Outcome((), np.array([bit == "1" for bit in bits]))


def test_every_model_against_the_first():
    rows = compare({"a": outcome_of("1100"), "b": outcome_of("1111"), "c": outcome_of("0100")}, "tiny")
    assert [(row["model"], row["reference"], row["difference"]) for row in rows] == [("b", "a", 0.5), ("c", "a", -0.25)]
    assert (rows[0]["only_model_right"], rows[0]["only_reference_right"]) == (2, 0)
    assert rows[0]["p_value"] == pytest.approx(0.5)


def test_correction_is_over_all_benchmarks():
    pair = {"a": outcome_of("0" * 6), "b": outcome_of("1" * 6)}
    rows = compare(pair, "one") + compare(pair, "two")
    correct_for_all(rows)
    assert [row["p_value_holm"] for row in rows] == pytest.approx([2 * 2 / 64] * 2)


def test_numbers_are_compared_by_permutation():
    ours, theirs = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.zeros(5)
    assert permutation(ours, theirs, seed=0) == pytest.approx(2 / 32)  # all 32 swaps are tried, two are as extreme
    assert permutation(theirs, theirs, seed=0) == 1.0


def test_items_that_do_not_pair_are_not_compared():
    other = Outcome((), np.zeros(4, bool), pairing="another tokenizer")
    assert compare({"a": outcome_of("1100"), "b": other}, "tiny") == []


def test_means_over_benchmarks_count_each_once():
    def row(benchmark, value, reach):
        interval = [value - reach, value + reach]
        return {"model": "m", "benchmark": benchmark, "metric": "accuracy", "value": value, "interval": interval}

    (average,) = averages([row("one", 0.5, 0.03), row("two", 0.9, 0.04)])
    assert average["value"] == pytest.approx(0.7)
    assert average["interval"] == pytest.approx([0.7 - 0.025, 0.7 + 0.025])  # hypot(3, 4) / 2 hundredths
    assert averages([row("one", 0.5, 0.03)]) == []


def test_ratio_of_paired_shares():
    ours, theirs = outcome_of("1110000000").items, outcome_of("1101100000").items
    value, low, high = paired_ratio(ours, theirs)
    reach = 1.959964 * math.sqrt(4 / (3.5 * 4.5))  # three items on which exactly one of them is right, and one added
    centre = 3.5 / 4.5
    assert (value, low, high) == pytest.approx((0.75, centre * math.exp(-reach), centre * math.exp(reach)), rel=1e-5)


def test_ratios_without_a_difference_or_without_a_hit_have_an_interval():
    all_right, none_right = np.ones(60, bool), np.zeros(60, bool)
    value, low, high = paired_ratio(all_right, all_right)
    assert low < value == 1.0 < high
    value, low, high = paired_ratio(none_right, all_right)
    assert low == value == 0.0 < high < 0.5
