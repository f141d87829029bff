"""T3 and DaWin against worked numbers: an independent float64 script, to ten digits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax

from merge.bundles.coefficients import (
    DawinOptions,
    T3Options,
    batch_coefficients,
    coefficients,
    dawin_coefficients,
    entropies,
    jensen_shannon,
    offset_of,
    pretrained_weights,
)

PRETRAINED = np.array([[2, 1, 0], [0, 0, 0], [3, 0, 0], [0, 5, 0]], np.float64)
EXPERT = np.array([[2, 1, 0], [2, 0, -2], [0, 3, 0], [8, 0, 0]], np.float64)
DEFAULT = [0.5, 0.5221268577, 0.5596569223, 0.5830933419]


def near(values):
    return pytest.approx(values, abs=1e-9, rel=0)


def test_t1_divergence_in_nats_and_bits():
    assert jensen_shannon(PRETRAINED, EXPERT) == near([0, 0.1771305526, 0.4795396241, 0.6709698487])
    assert jensen_shannon(PRETRAINED, EXPERT, base="2") == near([0, 0.2555453698, 0.6918294375, 0.9680048733])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (T3Options(), DEFAULT),
        (T3Options(base="2"), [0.5, 0.5318997838, 0.5856265596, 0.6186925454]),
        (T3Options(bounds=(0.2, 0.8)), [0.5, 0.5132761146, 0.5357941534, 0.5498560051]),
        (T3Options(gamma=10), [0.5, 0.8546199509, 0.9918000726, 0.9987824526]),
        (T3Options(map="linear"), [0, 0.2555453698, 0.6918294375, 0.9680048733]),
        (T3Options(map="linear", base="2"), [0, 0.2555453698, 0.6918294375, 0.9680048733]),
    ],
)
def test_t1_coefficients(options, expected):
    assert coefficients(PRETRAINED, EXPERT, options) == near(expected)


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        (
            "defer",
            [
                (2, 0),
                (1.9557462845, -0.0442537155),
                (1.8806861554, -0.1193138446),
                (1.8338133162, -0.1661866838),
            ],
        ),
        (
            "expert",
            [(2, 0), (2.0442537155, 0.0442537155), (2.1193138446, 0.1193138446), (2.1661866838, 0.1661866838)],
        ),
    ],
)
def test_t1_merged_weights(direction, expected):
    weights = pretrained_weights(coefficients(PRETRAINED, EXPERT), direction)[:, None]
    merged = weights * np.array([1.0, -1.0]) + (1 - weights) * np.array([3.0, 1.0])
    assert merged == near(np.array(expected))


def test_t2_the_batch_takes_the_mean_of_lambdas():
    of_batch = batch_coefficients(coefficients(PRETRAINED, EXPERT), 4)
    assert of_batch == near([0.5412192805] * 4)
    assert expit(0.5 * jensen_shannon(PRETRAINED, EXPERT).mean()) == near(0.5413937920)  # of the mean: not T3_B
    means = [np.log(softmax(logits, axis=1).mean(axis=0, keepdims=True)) for logits in (PRETRAINED, EXPERT)]
    assert jensen_shannon(*means) == near([0.0195827510])
    assert coefficients(*means) == near([0.5024478243])  # of mean probabilities: the divergence collapses


def test_t3_a_merge_is_no_mixture_of_outputs():
    weight, inputs = 0.25, np.array([1.0, 2.0])
    pretrained, expert = (1.0, 2.0), (3.0, -1.0)

    def network(first, second):
        return np.maximum(first * inputs, 0) * second

    merged = [weight * one + (1 - weight) * two for one, two in zip(pretrained, expert, strict=True)]
    assert network(*merged) == near([-0.625, -1.25])
    assert weight * network(*pretrained) + (1 - weight) * network(*expert) == near([-1.75, -3.5])


def test_t4_dawin():
    offset = offset_of(entropies(PRETRAINED), entropies(EXPERT))
    assert (offset.b, offset.w) == near((0.7964347578, 1.6923665096))
    without = dawin_coefficients(PRETRAINED, EXPERT, DawinOptions(offset=False))
    assert without == near([0.5, 0.6587109045, 0.5, 0.5184503545])
    assert dawin_coefficients(PRETRAINED, EXPERT) == near([0.5434378165, 0.6282471118, 0.5331651458, 0.5397103502])
