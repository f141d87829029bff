"""Mixtures of logits and probabilities against worked numbers, in float64, for numpy and torch alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from merge.bundles.combine import Combination, combined
from merge.errors import MergeError, UsageError

KINDS = {"numpy": np.array, "torch": lambda values: torch.tensor(values, dtype=torch.float64)}
NAMES = ("a", "b")


@pytest.fixture(params=list(KINDS))
def array(request):
    return KINDS[request.param]


def mixed(array, combine, *experts, **options):
    names = [f"expert {number}" for number in range(len(experts))]
    found = combined([array(expert) for expert in experts], Combination(combine, **options), names)
    assert str(found.dtype).endswith("float64")
    return np.asarray(found)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)


def test_mean_logits_are_the_geometric_mean(array):  # M1
    a, b = (4, 3.9, 0, -1), (-3, 2, 3, 0)
    a, b = ([float(each) for each in one] for one in (a, b))
    logits = mixed(array, "logits", a, b)
    close(logits, (0.5, 2.95, 1.5, -0.5))
    wanted = (0.0637978558, 0.7393116727, 0.1734205520, 0.0234699195)
    close(softmax(logits), wanted)
    geometric = np.sqrt(softmax(np.array(a)) * softmax(np.array(b)))
    close(geometric / geometric.sum(), wanted)
    close(softmax(mixed(array, "logprobs", a, b)), wanted)
    probabilities = mixed(array, "probs", a, b)
    close(np.exp(probabilities), (0.2599546999, 0.3639488429, 0.3568219118, 0.0192745454))
    assert logits.argmax() == 1
    assert (np.argmax(a), np.argmax(b)) == (0, 2)


def test_modes_disagree(array):  # M2
    a, b = np.log((0.98, 0.01, 0.01)), np.log((0.001, 0.5, 0.499))
    logits, probabilities = mixed(array, "logits", a, b), mixed(array, "probs", a, b)
    np.testing.assert_allclose(softmax(logits), (0.18131447, 0.40954764, 0.40913789), rtol=0, atol=5e-9)  # 8 places
    close(np.exp(probabilities), (0.4905, 0.255, 0.2545))
    assert (logits.argmax(), probabilities.argmax()) == (1, 0)


def test_a_larger_scale_dominates_logits(array):  # M3
    a, b = (10.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    close(softmax(mixed(array, "logits", a, b)), (0.9824659850, 0.0109142112, 0.0066198037))
    close(np.exp(mixed(array, "probs", a, b)), (0.6059253830, 0.2880811403, 0.1059934767))


def losses(logits, targets):
    logits = np.asarray(logits)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    normalised = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return -normalised[np.arange(len(targets)), targets]


def test_losses(array):  # M4
    a, b = [[2.0, 0, 0], [0, 1, 0]], [[0.0, 0, 1], [0, 3, 0]]
    targets = np.array([0, 1])
    found = [losses(each, targets).mean() for each in (a, b, mixed(array, "logits", a, b), mixed(array, "probs", a, b))]
    close(found, (0.3954947401, 0.8231838352, 0.4599072184, 0.4957878049))
    close(math.exp(found[2]), 1.5839270189)
    close((found[0] + found[1]) / 2, 0.6093392876)


def test_an_intersection_and_a_union(array):  # M5, by -inf in the places that are missing
    outside = -math.inf
    a, b = (0.0, 1.0, 2.0, outside), (0.0, 2.0, 1.0, outside)
    found = mixed(array, "logits", a, b)
    close(softmax(found), (0.1003675647, 0.4498162177, 0.4498162177, 0))
    a, b = (0.0, 1, 2, 3, outside), (0.0, 2, 1, outside, 4)
    wanted = (0.0236390161, 0.0998007662, 0.1391267575, 0.3219571299, 0.4154763303)
    close(np.exp(mixed(array, "probs", a, b)), wanted)


@pytest.mark.parametrize("combine", ["logits", "probs", "logprobs"])
def test_the_loss_is_at_most_the_mean_of_the_losses(array, combine):
    random = np.random.default_rng(0)
    experts = random.normal(size=(3, 10_000, 7)) * random.choice([0.1, 1, 30], size=(3, 10_000, 1))
    targets = random.integers(7, size=10_000)
    for weights in (None, (0.7, 0.1, 0.2)):
        loss = losses(mixed(array, combine, *experts, weights=weights), targets)
        mean = np.average([losses(each, targets) for each in experts], axis=0, weights=weights)
        assert (loss <= mean + 1e-9).all()
        assert (loss < mean - 1e-3).any()


def test_weights_and_temperatures(array):
    a, b = np.array((1.0, 2.0, -1.0)), np.array((0.0, -3.0, 3.0))
    options = {"weights": (0.25, 0.75), "temperatures": (2.0, 0.5)}
    close(mixed(array, "logits", a, b, **options), 0.25 * a / 2 + 0.75 * b / 0.5)
    wanted = 0.25 * softmax(a / 2) + 0.75 * softmax(b / 0.5)
    close(np.exp(mixed(array, "probs", a, b, **options)), wanted)
    close(mixed(array, "probs", a, b, weights=(1.0, 3.0)), mixed(array, "probs", a, b, weights=(0.25, 0.75)))
    close(softmax(mixed(array, "logits", a, b, weights=(1.0, 1.0))), softmax(a + b))  # a temperature of 1/2


def test_weight_zero_takes_an_expert_out(array):
    a, b = (1.0, 2.0, 0.0), (-math.inf, 0.0, 1.0)
    for combine in ("logits", "probs", "logprobs"):
        close(softmax(mixed(array, combine, a, b, weights=(1.0, 0.0))), softmax(np.array(a)))


@pytest.mark.parametrize("copies", [2, 3, 4, 5])
def test_copies_are_exactly_the_one(array, copies):
    logits = np.random.default_rng(1).normal(size=(50, 11))
    assert (mixed(array, "logits", *[logits] * copies) == logits).all()
    assert (mixed(array, "logits", *[logits] * copies, weights=(1 / copies,) * copies) == logits).all()
    assert (mixed(array, "logits", *[logits] * 2, weights=(0.3, 0.7)) == logits).all()


@pytest.mark.parametrize("combine", ["logits", "logprobs"])
def test_what_one_expert_never_gives_the_mixture_never_gives(array, combine):
    outside = -math.inf
    found = mixed(
        array, combine, (outside, 0.0, 1.0), (0.0, outside, 1.0), (outside, 0.0, 1.0), weights=(0.5, 0.3, 0.2)
    )
    assert (found[:2] == outside).all()
    assert np.isfinite(found[2])


def test_nothing_mixes_to_nothing(array):
    for combine in ("logits", "probs", "logprobs"):
        assert combined([array(np.zeros((0, 3)))] * 2, Combination(combine), NAMES).shape == (0, 3)


def test_lower_precision_is_averaged_in_float32():
    a, b = (torch.tensor(each, dtype=torch.bfloat16) for each in ((1.0, 256.0), (1.0078125, 1.0)))
    found = combined([a, b], Combination(), NAMES)
    assert found.dtype == torch.float32
    assert found.tolist() == [1.00390625, 128.5]  # neither is a bfloat16
    halves = combined([each.float().numpy().astype(np.float16) for each in (a, b)], Combination(), NAMES)
    assert halves.dtype == np.float32
    assert halves.tolist() == found.tolist()


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
@pytest.mark.parametrize("combine", ["logits", "probs", "logprobs"])
def test_the_expert_with_a_wrong_number_is_named(array, combine, wrong):
    with pytest.raises(MergeError, match=r"^b: .*not finite"):
        combined([array([1.0, 2.0]), array([1.0, wrong])], Combination(combine), NAMES)


def test_gradients_are_finite_where_classes_are_missing():
    outside = -math.inf
    experts = [torch.tensor(each, requires_grad=True) for each in ((1.0, outside), (2.0, outside), (0.0, 1.0))]
    combined(experts, Combination("probs"), "abc")[1].backward()
    assert all(expert.grad[0].isfinite() for expert in experts)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (Combination("logit"), "no combination 'logit'.*did you mean 'logits'"),
        (Combination(weights=(1.0,)), "1 weights for 2 experts"),
        (Combination(weights=(0.0, 0.0)), "all weights"),
        (Combination(weights=(-1.0, 2.0)), "at least 0"),
        (Combination(weights=(math.nan, 2.0)), "at least 0"),
        (Combination(temperatures=(0.0, 1.0)), "above 0"),
        (Combination(temperatures=(1.0, 1.0, 1.0)), "3 temperatures for 2 experts"),
    ],
)
def test_wrong_options(how, message):
    with pytest.raises(UsageError, match=message):
        combined([np.zeros(2), np.zeros(2)], how, NAMES)
