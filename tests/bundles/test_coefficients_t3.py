"""Coefficients of T3: laws of the divergence and of the maps, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from merge.bundles.coefficients import (
    LN_2,
    T3Options,
    batch_coefficients,
    coefficients,
    entropies,
    jensen_shannon,
    pretrained_weights,
    summarize,
)
from merge.errors import MergeError, UsageError

LOGITS = arrays(np.float64, (5, 4), elements=st.floats(-30, 30))


@given(LOGITS, LOGITS)
def test_the_divergence_is_symmetric_and_bounded(first, second):
    there, back = jensen_shannon(first, second), jensen_shannon(second, first)
    assert there == pytest.approx(back, abs=1e-12)
    assert ((there >= 0) & (there <= LN_2)).all()
    assert (jensen_shannon(first, second, base="2") <= 1).all()


@given(LOGITS, LOGITS, st.permutations(range(4)), st.floats(-50, 50))
def test_the_order_of_classes_and_a_constant_change_nothing(first, second, order, constant):
    expected = jensen_shannon(first, second)
    assert jensen_shannon(first[:, order], second[:, order] + constant) == pytest.approx(expected, abs=1e-9)


@given(LOGITS)
def test_equal_models_get_the_middle_of_the_sigmoid_and_the_low_end_of_the_line(logits):
    assert coefficients(logits, logits) == pytest.approx(0.5, abs=1e-12)
    bounds = (0.2, 0.9)
    assert coefficients(logits, logits, T3Options(bounds=bounds)) == pytest.approx(0.55, abs=1e-12)
    assert coefficients(logits, logits, T3Options(bounds=bounds, map="linear")) == pytest.approx(0.2, abs=1e-12)


@given(LOGITS, LOGITS, st.sampled_from(["sigmoid", "linear", "centered-sigmoid"]), st.floats(0.1, 20))
def test_more_disagreement_gives_more_of_the_pretrained_model(first, second, map_name, gamma):
    options = T3Options(gamma=gamma, map=map_name, bounds=(0.1, 0.7))
    order = np.argsort(jensen_shannon(first, second))
    ordered = coefficients(first, second, options)[order]
    assert (np.diff(ordered) >= -1e-12).all()
    assert ((ordered >= 0.1 - 1e-12) & (ordered <= 0.7 + 1e-12)).all()


def test_far_ends_of_the_divergence():
    certain = np.array([[1000.0, 0, 0]])
    assert jensen_shannon(certain, np.array([[0, 1000.0, 0]])) == pytest.approx(math.log(2), abs=1e-15)
    ruled_out = np.array([[1.0, 2.0, -np.inf]])
    assert jensen_shannon(ruled_out, ruled_out) == 0
    assert jensen_shannon(ruled_out, np.array([[1.0, 2.0, 0.0]])) > 0
    assert entropies(np.array([[3.0, 3.0, -np.inf]])) == pytest.approx(LN_2)


def test_the_divergence_is_no_distance():
    from scipy.spatial.distance import jensenshannon
    from scipy.special import softmax

    first, second = np.random.default_rng(0).normal(size=(2, 6, 5))
    distances = jensenshannon(softmax(first, axis=1), softmax(second, axis=1), axis=1)
    assert jensen_shannon(first, second) == pytest.approx(distances**2, abs=1e-12)


def test_temperatures_divide_the_logits():
    first, second = np.random.default_rng(0).normal(size=(2, 6, 5))
    cooled = jensen_shannon(first, second, temperatures=(2, 0.5))
    assert cooled == pytest.approx(jensen_shannon(first / 2, second / 0.5), abs=1e-12)
    options = T3Options(map="linear", temperatures=(2, 0.5))
    assert coefficients(first, second, options) == pytest.approx(cooled / LN_2, abs=1e-12)
    assert entropies(first, temperature=2) == pytest.approx(entropies(first / 2), abs=1e-12)


def test_the_published_map_uses_a_small_part_of_its_range():
    far = coefficients(np.array([[900.0, 0]]), np.array([[0, 900.0]]))
    assert far == pytest.approx(0.5857864376, abs=1e-9)  # 2 - sqrt 2


def test_the_centered_map_is_half_way_at_tau():
    first, second = np.random.default_rng(1).normal(size=(2, 1, 3))
    tau = float(jensen_shannon(first, second)[0])
    options = T3Options(map="centered-sigmoid", tau=tau, gamma=30)
    assert coefficients(first, second, options) == pytest.approx(0.5)
    assert coefficients(first, first, options) == pytest.approx(1 / (1 + math.exp(30 * tau)))


def test_delta_widens_both_bounds():
    first, second = np.random.default_rng(1).normal(size=(2, 4, 3))
    widened = coefficients(first, second, T3Options(bounds=(0.2, 0.8), delta=0.1))
    assert widened == pytest.approx(coefficients(first, second, T3Options(bounds=(0.1, 0.9))))


def test_batches_follow_the_order_and_the_last_has_its_own_mean():
    lambdas = np.array([0.0, 1, 0.5, 0.5, 0.2])
    assert batch_coefficients(lambdas, 2) == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.2])
    assert batch_coefficients(lambdas, 3) == pytest.approx([0.5, 0.5, 0.5, 0.35, 0.35])
    assert batch_coefficients(lambdas, 1).tolist() == lambdas.tolist()
    assert batch_coefficients(lambdas, 99) == pytest.approx(0.44)


def test_directions():
    lambdas = np.array([0.2, 0.7])
    assert pretrained_weights(lambdas).tolist() == [0.2, 0.7]
    assert pretrained_weights(lambdas, "expert") == pytest.approx([0.8, 0.3])


def test_the_summary():
    summary = summarize(np.array([0.2, 0.4, 0.9]))
    assert (summary["n"], summary["min"], summary["max"]) == (3, 0.2, 0.9)
    assert (summary["mean"], summary["standard_deviation"]) == pytest.approx((0.5, np.std([0.2, 0.4, 0.9])))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bounds": (0.8, 0.2)}, r"the bounds are reversed: 0.8 is above 0.2 .*direction 'expert'"),
        ({"bounds": (0, math.nan)}, "bounds must be finite, not nan"),
        ({"bounds": (0.4, 0.6), "delta": -0.2}, "delta -0.2 narrows the bounds 0.4, 0.6 to nothing"),
        ({"gamma": math.inf}, "gamma must be finite"),
        ({"gamma": -1}, "gamma must not be below 0, not -1"),
        ({"map": "sigmiod"}, r"no map called 'sigmiod' \(did you mean 'sigmoid'\?\)"),
        ({"base": "10"}, r"no base called '10' \(there is e, 2\)"),
        ({"tau": 0.2}, "tau means nothing for the map 'sigmoid'"),
        ({"temperatures": (1, 0)}, "the temperature of the expert must be a number above 0, not 0"),
        ({"temperatures": (math.nan, 1)}, "the temperature of the pretrained model"),
    ],
)
def test_wrong_options(changes, message):
    with pytest.raises(UsageError, match=message):
        T3Options(**changes)


GOOD = np.zeros((3, 2))
BAD = np.array([[0.0, 0], [0, np.nan], [0, 0]])


@pytest.mark.parametrize(
    ("pretrained", "expert", "message"),
    [
        (GOOD, BAD, "the expert gives logits that are not finite, first for sample 1 of 3"),
        (BAD, GOOD, "the pretrained model gives logits that are not finite"),
        (GOOD, np.full((3, 2), np.inf), "the expert gives logits that are not finite, first for sample 0"),
        (GOOD, np.full((3, 2), -np.inf), "the expert gives logits that are not finite"),
        (GOOD, np.zeros((3, 4)), "the expert has 4 classes, but the pretrained model has 2"),
        (GOOD, np.zeros((2, 2)), "the expert has logits of 2 samples, but the pretrained model of 3"),
        (GOOD[:0], GOOD[:0], "the batch is empty: the pretrained model has logits of no sample"),
        (GOOD[0], GOOD[0], r"logits of the pretrained model have shape \[2\]"),
        (GOOD[:, :0], GOOD[:, :0], r"logits of the pretrained model have shape \[3, 0\]"),
    ],
)
def test_wrong_logits(pretrained, expert, message):
    with pytest.raises(MergeError, match=message) as refusal:
        coefficients(pretrained, expert)
    assert refusal.value.exit_code == 1


def test_other_refusals():
    with pytest.raises(UsageError, match="at least one sample, not 0"):
        batch_coefficients(np.ones(3), 0)
    with pytest.raises(UsageError, match=r"no direction called 'experts'.*did you mean 'expert'"):
        pretrained_weights(np.ones(3), "experts")
    with pytest.raises(UsageError, match="no logarithm of base '10'"):
        jensen_shannon(GOOD, GOOD, base="10")
    for function in (summarize, lambda values: batch_coefficients(values, 2)):
        with pytest.raises(MergeError, match="the batch is empty"):
            function(np.zeros(0))
