"""The area under the ROC curve, against scikit-learn's and sums over pairs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tiny_models import CLASSES

from merge.errors import UsageError
from merge.evaluation import evaluate
from merge.evaluation.area_under_curve import area_under_curve, read_metrics
from merge.evaluation.scoring import log_softmax
from merge.section import parse_section


def example(n, classes, seed=0):
    draws = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    logits = draws.normal(size=(n, classes))
    logits[np.arange(n), labels] += 0.8
    return log_softmax(logits), labels


@pytest.mark.parametrize(("n", "classes"), [(40, 2), (61, 3), (200, 8)])
def test_against_scikit_learn(n, classes):
    logs, labels = example(n, classes)
    scores = np.exp(logs)
    expected = roc_auc_score(labels, scores[:, 1] if classes == 2 else scores, multi_class="ovr", average="macro")
    found = area_under_curve(logs, labels)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert 0 < found.low < found.value < found.high < 1
    assert found.n == n


def test_images_alike_count_by_half():
    logs, labels = example(60, 3)
    logs = logs[:7][np.arange(60) % 7]  # seven different images, each of several classes
    expected = roc_auc_score(labels, np.exp(logs), multi_class="ovr", average="macro")
    assert area_under_curve(logs, labels).value == pytest.approx(expected, abs=1e-12)


def test_very_sure_outputs_keep_their_order():
    margins = np.array([90.0, 80, 70, 60, 50])
    logs = log_softmax(np.stack([margins, np.zeros(5)], axis=1))
    labels = np.array([0, 0, 1, 0, 1])
    assert np.exp(logs[:, 0]).tolist() == [1] * 5
    assert area_under_curve(logs, labels).value == pytest.approx(roc_auc_score(labels == 0, margins))


def test_the_interval_of_two_classes_is_delongs():
    logs, labels = example(50, 2)
    positive, negative = logs[labels == 1, 1], logs[labels == 0, 1]
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    variance = wins.mean(1).var(ddof=1) / len(positive) + wins.mean(0).var(ddof=1) / len(negative)
    area = wins.mean()
    reach = 1.959963985 * variance**0.5 / (area * (1 - area))
    ends = [1 / (1 + np.exp(-(np.log(area / (1 - area)) + side * reach))) for side in (-1, 1)]
    found = area_under_curve(logs, labels)
    assert (found.value, found.low, found.high) == pytest.approx((area, *ends), abs=1e-9)


def test_the_interval_covers_what_it_should():
    """Over many draws the true area, that of two normal distributions one apart, is inside 95 times of 100."""
    from scipy.stats import norm

    truth, inside = norm.cdf(1 / 2**0.5), 0
    draws = np.random.default_rng(0)
    for _ in range(400):
        labels = np.arange(80) % 2
        score = draws.normal(size=80) + labels
        found = area_under_curve(log_softmax(np.stack([np.zeros(80), score], axis=1)), labels)
        inside += found.low <= truth <= found.high
    assert 0.91 <= inside / 400 <= 0.99


def test_what_is_all_right_or_all_wrong_still_has_an_interval():
    labels = np.array([0, 0, 0, 1, 1])
    right = log_softmax(np.array([[9.0, 0], [8, 0], [7, 0], [0, 7], [0, 9]]))
    found, wrong = area_under_curve(right, labels), area_under_curve(right[:, ::-1], labels)
    assert (found.value, found.high, wrong.value, wrong.low) == (1, 1, 0, 0)
    assert 0.2 < found.low < 0.5  # of two images
    assert wrong.high == pytest.approx(1 - found.low)


def test_classes_without_images_do_not_count():
    logs, labels = example(40, 2)
    wider = np.concatenate([logs[:, :1], np.full((40, 1), -9.0), logs[:, 1:]], axis=1)
    assert area_under_curve(wider, labels * 2).value == pytest.approx(area_under_curve(logs, labels).value)
    assert area_under_curve(logs, np.zeros(40, np.int64)) is None


def test_benchmarks_ask_for_it(classifiers, write_benchmark):
    one = str(classifiers[0])
    plain = evaluate([one], [write_benchmark()])
    asked = evaluate([one], [write_benchmark("metrics: [auc]")])
    names = [row["metric"] for row in plain.results]
    assert "auc" not in names
    assert [row["metric"] for row in asked.results] == [*names, "auc"]
    assert CLASSES > 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("metrics: [acu]", r"b.yaml:1:11: no metric 'acu' to add \(did you mean 'auc'\?\)"),
        ("metrics: [loss]", r"no metric 'loss' to add \(there is auc; the others are always reported\)"),
        ("metrics: [auc, auc]", r"b.yaml:1:16: 'auc' is there twice"),
        ("metrics: auc", "'metrics' must be a list"),
    ],
)
def test_refusals(text, message):
    with pytest.raises(UsageError, match=message):
        read_metrics(parse_section(text, "b.yaml"))
