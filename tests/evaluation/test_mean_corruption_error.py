"""Corruption errors, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from merge.errors import MergeError, UsageError
from merge.evaluation.corruptions import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERRORS,
    corruption_errors,
    mean_corruption_error,
    relative_corruption_errors,
    relative_mean_corruption_error,
)

MODEL = {"fog": [0.1, 0.1, 0.2, 0.2, 0.4], "snow": [0.3, 0.3, 0.3, 0.3, 0.3]}  # sums 1.0 and 1.5
REFERENCE = {"snow": [0.6, 0.6, 0.6, 0.6, 0.6], "fog": [0.2, 0.3, 0.4, 0.5, 0.6]}  # sums 3.0 and 2.0


def test_sums_are_divided_before_the_mean():
    assert corruption_errors(MODEL, REFERENCE) == pytest.approx({"fog": 1 / 2, "snow": 1.5 / 3})
    assert mean_corruption_error({**MODEL, "snow": [0.6] * 5}, REFERENCE) == pytest.approx((0.5 + 1) / 2)


def test_relative_errors_leave_out_what_is_lost_without_corruption():
    relative = relative_corruption_errors(MODEL, 0.1, REFERENCE, 0.2)
    assert relative == pytest.approx({"fog": (1 - 0.5) / (2 - 1), "snow": (1.5 - 0.5) / (3 - 1)})
    assert relative_mean_corruption_error(MODEL, 0.15, REFERENCE, 0.2) == pytest.approx((0.25 / 1 + 0.75 / 2) / 2)


def test_alexnet_is_100_percent_of_itself():
    assert mean_corruption_error(ALEXNET_ERRORS, ALEXNET_ERRORS) == 1
    clean = ALEXNET_CLEAN_ERROR
    assert relative_mean_corruption_error(ALEXNET_ERRORS, clean, ALEXNET_ERRORS, clean) == 1


def test_alexnet_means_are_those_published_for_augmix():
    # google-research/augmix, imagenet.py: ALEXNET_ERR.
    published = [0.886428, 0.894468, 0.922640, 0.819880, 0.826268, 0.785948, 0.798360, 0.866816]
    published += [0.826572, 0.819324, 0.564592, 0.853204, 0.646056, 0.717840, 0.606500]
    assert [np.mean(rates) for rates in ALEXNET_ERRORS.values()] == pytest.approx(published, abs=1e-9)


def test_a_missing_corruption_is_named_on_either_side():
    with pytest.raises(UsageError, match=r"errors lack snow .*leave them out of both"):
        mean_corruption_error({"fog": MODEL["fog"]}, REFERENCE)
    with pytest.raises(UsageError, match="the reference lacks fog, snow"):
        mean_corruption_error(MODEL, {})
    with pytest.raises(UsageError, match="no corruption to take a mean over"):
        mean_corruption_error({}, {})


def test_a_reference_that_loses_nothing():
    with pytest.raises(
        MergeError, match=r"fog: the reference loses nothing here.*a reference that does worse"
    ) as caught:
        mean_corruption_error(MODEL, {**REFERENCE, "fog": [0.0] * 5})
    assert caught.value.exit_code == 1
    with pytest.raises(MergeError, match="snow: the reference loses nothing"):
        relative_mean_corruption_error(MODEL, 0.1, {**REFERENCE, "snow": [0.1] * 5}, 0.1)


@pytest.mark.parametrize("rates", [[0.1] * 4, [10.0] * 5, [float("nan")] * 5, [-0.1] * 5])
def test_what_is_no_error_rate(rates):
    with pytest.raises(UsageError, match=r"fog: .* are not 5 error rates from 0 to 1"):
        mean_corruption_error({**MODEL, "fog": rates}, REFERENCE)
    with pytest.raises(UsageError, match=r"fog: .* not a percentage"):
        mean_corruption_error(MODEL, {**REFERENCE, "fog": rates})


def test_clean_errors_are_checked_too():
    with pytest.raises(UsageError, match=r"clean: \[43.5\] are not 1 error rates"):
        relative_mean_corruption_error(MODEL, 0.1, REFERENCE, 43.5)
