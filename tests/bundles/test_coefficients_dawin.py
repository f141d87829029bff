"""DaWin's coefficients, their offset, and the mixture that makes a few merges of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from merge.bundles.coefficients import (
    Clusters,
    DawinOptions,
    cluster,
    dawin_coefficients,
    entropies,
    offset_of,
    task_coefficients,
)
from merge.bundles.coefficients.beta_mixture import _Mixture, _weighted_log_densities
from merge.errors import MergeError, UsageError

LOGITS = arrays(np.float64, (6, 3), elements=st.floats(-20, 20))
PLAIN = DawinOptions(offset=False)


def three_groups():
    draws = np.random.default_rng(0)
    return np.concatenate([draws.beta(5, 50, 200), draws.beta(60, 60, 300), draws.beta(60, 4, 400)])


@given(LOGITS, LOGITS)
def test_the_models_shares_add_up_to_one(first, second):
    there, back = dawin_coefficients(first, second, PLAIN), dawin_coefficients(second, first, PLAIN)
    assert there + back == pytest.approx(np.ones(6))
    with_offset = dawin_coefficients(first, second)
    assert ((with_offset > 0) & (with_offset < 1)).all()


def test_the_surer_model_weighs_more():
    sure, unsure = np.array([[9.0, 0, 0]]), np.array([[0.1, 0, 0]])
    assert dawin_coefficients(unsure, sure, PLAIN)[0] > 0.7
    assert dawin_coefficients(sure, unsure, PLAIN)[0] < 0.3
    assert dawin_coefficients(sure, sure)[0] == pytest.approx(0.5)


def test_temperatures():
    first, second = np.random.default_rng(0).normal(size=(2, 6, 5))
    cooled = dawin_coefficients(first, second, DawinOptions(temperatures=(0.9576, 0.9733)))
    assert cooled == pytest.approx(dawin_coefficients(first / 0.9576, second / 0.9733))
    with pytest.raises(UsageError, match="the temperature of the expert"):
        DawinOptions(temperatures=(1, -1))


def test_the_offset_without_a_spread_or_a_mean():
    one = offset_of(np.array([0.4]), np.array([0.2]))
    assert (one.b, one.of_expert) == (0, 0)
    sure = offset_of(np.zeros(3), np.array([0.1, 0.2, 0.3]))
    assert (sure.b, sure.of_expert) == (pytest.approx(0.25), 0)
    assert offset_of(np.zeros(3), np.zeros(3)).of_expert == 0
    certain = np.array([[2000.0, 0], [2000.0, 0]])
    assert dawin_coefficients(certain, certain) == pytest.approx(0.5)


def test_the_offset_is_of_the_whole_set():
    first, second = np.random.default_rng(0).normal(size=(2, 20, 5))
    whole = dawin_coefficients(first, second)
    halves = [dawin_coefficients(first[part], second[part]) for part in (slice(10), slice(10, 20))]
    assert np.abs(whole - np.concatenate(halves)).max() > 1e-4
    order = np.random.default_rng(1).permutation(20)
    assert dawin_coefficients(first[order], second[order]) == pytest.approx(whole[order])


def test_tasks_by_hand():
    found = task_coefficients({"a": np.array([0.0, 1.0]), "b": np.array([math.log(3), 1.0])})
    assert found["a"] == pytest.approx([0.6 * 3 / 4, 0.3])  # softmax of 0 and -ln 3 is 3/4, 1/4
    assert found["b"] == pytest.approx([0.6 / 4, 0.3])
    assert sum(task_coefficients(found, scale=1).values()) == pytest.approx(2)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "no expert to weigh"),
        ({"a": np.zeros(0)}, r"entropies of a have shape \[0\]"),
        ({"a": np.zeros(2), "b": np.zeros(3)}, "b has entropies of 3 samples, but a of 2"),
        ({"a": np.zeros(2), "b": np.array([0, np.nan])}, "entropies of b are not finite"),
    ],
)
def test_wrong_tasks(members, message):
    with pytest.raises(MergeError, match=message):
        task_coefficients(members)


def test_wrong_logits_are_named():
    with pytest.raises(MergeError, match="the expert gives logits that are not finite, first for sample 0 of 1"):
        dawin_coefficients(np.zeros((1, 2)), np.array([[np.nan, 0]]))
    with pytest.raises(MergeError, match="the expert has 3 classes, but the pretrained model has 2"):
        dawin_coefficients(np.zeros((1, 2)), np.zeros((1, 3)))
    with pytest.raises(MergeError, match="the batch is empty"):
        entropies(np.zeros((0, 2)))


def test_three_groups_are_found():
    values = three_groups()
    found = cluster(values)
    assert np.bincount(found.labels).tolist() == [200, 300, 400]
    assert found.means == pytest.approx([values[:200].mean(), values[200:500].mean(), values[500:].mean()], abs=1e-3)
    assert found.coefficients.tolist() == found.means[found.labels].tolist()


def test_an_overlapping_mixture_is_fitted_as_by_the_published_code():
    """Means by the algorithm of naver-ai/dawin with scikit-learn's k-means, from a script apart; both stop early."""
    values = np.random.default_rng(0).beta(2, 5, 5000)
    found = cluster(values)
    assert found.means == pytest.approx([0.15938, 0.30809, 0.47998], abs=0.01)
    assert cluster(values, seed=3).means == pytest.approx(found.means, abs=1e-6)


def test_densities_are_those_of_scipy():
    from scipy.stats import beta

    values = np.linspace(0.01, 0.99, 7)
    alpha, size = np.array([0.5, 3, 900]), np.array([2, 0.7, 400])
    ours = _weighted_log_densities(values, _Mixture(np.log([0.2, 0.3, 0.5]), alpha, size))
    assert ours == pytest.approx(beta.logpdf(values[:, None], alpha, size) + np.log([0.2, 0.3, 0.5]), rel=1e-9)


def test_seeds_repeat_and_the_global_state_is_left_alone():
    values = np.random.default_rng(3).random(500)
    first, again = cluster(values, seed=4), cluster(values, seed=4)
    assert first.labels.tolist() == again.labels.tolist()
    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    cluster(values)
    assert (np.random.get_state()[1] == state).all()


@pytest.mark.parametrize(
    ("values", "labels", "means"),
    [
        ([0.3], [0], [0.3]),
        ([0.3] * 50, [0] * 50, [0.3]),
        ([0.9, 0.1], [1, 0], [0.1, 0.9]),
        ([0.0, 1.0, 0.5, 1.0], [0, 2, 1, 2], [0.0, 0.5, 1.0]),
    ],
)
def test_no_more_values_than_components(values, labels, means):
    found = cluster(np.array(values))
    assert (found.labels.tolist(), found.means.tolist()) == (labels, means)


@pytest.mark.parametrize(
    "values",
    [
        np.concatenate([np.zeros(40), np.ones(40), [0.2, 0.4, 0.6]]),
        np.concatenate([np.full(99, 0.5), [0.1, 0.2, 0.9]]),
        0.5 + np.arange(60) * 1e-13,
        0.5 + np.arange(60) * 1e-6,
        np.array([0, 1e-300, 1e-12, 1 - 1e-12, 1]),
        np.array([0.1, 0.2, 0.3, 0.4]),
    ],
)
def test_hard_values_give_sound_clusters(values):
    found = cluster(values)
    assert len(found.labels) == len(values)
    assert sorted({*found.labels.tolist()}) == list(range(len(found.means)))
    assert np.isfinite(found.means).all()
    assert ((found.means >= values.min() - 1e-5) & (found.means <= values.max() + 1e-5)).all()
    assert (np.diff(found.means) >= 0).all()


def test_one_component_is_one_merge():
    values = three_groups()
    assert cluster(values, 1).means == pytest.approx([values.mean()])


def test_every_sample_is_served_once_and_batches_are_kept_apart():
    found = Clusters(np.array([1, 0, 1, 1, 0]), np.array([0.2, 0.8]))
    merges = [(value, items.tolist()) for value, items in found.merges(2)]
    assert merges == [(0.2, [1]), (0.8, [0]), (0.8, [2, 3]), (0.2, [4])]


def test_wrong_coefficients():
    with pytest.raises(MergeError, match="the batch is empty"):
        cluster(np.zeros(0))
    with pytest.raises(MergeError, match=r"the coefficient of sample 1 is 1\.2"):
        cluster(np.array([0.1, 1.2]))
    with pytest.raises(MergeError, match="the coefficient of sample 0 is nan"):
        cluster(np.array([np.nan, 0.2]))
    with pytest.raises(UsageError, match="0 components"):
        cluster(np.array([0.1]), 0)
