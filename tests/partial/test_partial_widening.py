"""Wide networks as a whole: what they compute at both ends of the budget, and for models that are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from planted import moved, random_orders
from running_models import (
    Attention,
    Filters,
    Perceptron,
    RunningSample,
    filters_groups,
    images,
    made,
    perceptron_groups,
    state_of,
    texts,
    with_state,
)
from torch.nn.functional import conv2d, unfold
from wide_models import Pair, floating, joint_of, laid_out, run_with, wide
from wide_networks import Classifier, Crossed, Gated, Tied

from merge.partial.allocation import ALLOCATIONS
from merge.partial.widening import Widening

BUDGETS = [0.0, 0.3, 0.5, 0.8, 1.0]
CASES: dict[str, tuple[Any, RunningSample]] = {
    "perceptron": (Perceptron, images(40, 6)),
    "crossed": (Crossed, images(40, 6)),
    "tied": (Tied, images(40, 6)),
    "gated": (Gated, texts(20, 5, 11)),
}


def pair_of(make: Any) -> Pair:
    return made(make, 1), made(make, 2)


def outputs(module: Any, sample: RunningSample) -> Any:
    with torch.no_grad():
        return module(**sample.inputs)


@pytest.mark.parametrize("case", ["perceptron", "crossed", "tied"])
@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_everything_apart_is_the_mean_of_the_members_outputs(case: str, allocation: str) -> None:
    make, sample = CASES[case]
    pair = pair_of(make)
    found = wide(pair, joint_of(pair, sample), 1.0, allocation=allocation)
    expected = (outputs(pair[0], sample) + outputs(pair[1], sample)) / 2
    torch.testing.assert_close(run_with(pair[0], found, sample.inputs), expected, rtol=1e-4, atol=1e-4)


def test_everything_apart_holds_the_members_bit_for_bit() -> None:
    pair = pair_of(Perceptron)
    found = wide(pair, joint_of(pair, images(40, 6)), 1.0, heads="apart")
    one, other = floating(pair[0]), floating(pair[1])
    for name in ("second.weight", "third.weight"):
        rows, columns = one[name].shape
        assert found[name][:rows, :columns].tobytes() == one[name].tobytes()
        assert not found[name][:rows, columns:].any()
        assert not found[name][rows:, :columns].any()
    for name in ("first.weight", "first.bias"):
        assert found[name][: len(one[name])].tobytes() == one[name].tobytes()
        order = np.sort(found[name][len(one[name]) :], axis=0)
        assert order.tobytes() == np.sort(other[name], axis=0).tobytes()


@pytest.mark.parametrize("case", CASES)
def test_nothing_apart_without_data_is_the_average_of_aligned_models(case: str) -> None:
    make, sample = CASES[case]
    pair = pair_of(make)
    joint = joint_of(pair, sample)
    found = wide(pair, joint, 0.0, ridge=float("inf"))
    one, other = floating(pair[0]), moved(floating(pair[1]), joint.groups, joint.orders)
    for name, array in one.items():
        expected = (array.astype(np.float64) + other[name]) / 2
        assert (found[name] == expected.astype(np.float32)).all(), name


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("budget", BUDGETS)
def test_a_model_with_itself_is_the_model(case: str, budget: float) -> None:
    make, sample = CASES[case]
    pair = made(make, 1), made(make, 1)
    found = wide(pair, joint_of(pair, sample), budget)
    expected = outputs(pair[0], sample)
    torch.testing.assert_close(run_with(pair[0], found, sample.inputs), expected, rtol=1e-4, atol=1e-4)
    if not budget:
        assert all((found[name] == array).all() for name, array in floating(pair[0]).items())


@pytest.mark.parametrize("budget", BUDGETS)
def test_a_model_with_its_units_in_another_order_is_the_model(budget: float) -> None:
    """Only correlated inputs leave directions free, which the ridge fills with the model's own weights."""
    model, groups, sample = made(Perceptron, 4), perceptron_groups(), images(60, 6)
    other = with_state(Perceptron, moved(state_of(model), groups, random_orders(groups, 1)))
    joint = joint_of((model, other), sample)
    found = wide((model, other), joint, budget)
    torch.testing.assert_close(run_with(model, found, sample.inputs), outputs(model, sample), rtol=1e-3, atol=1e-3)


def errors(pair: Pair, sample: RunningSample, ridge: float, **how: Any) -> list[float]:
    """Return the mean square of the difference to the mean of the members' outputs, by budget."""
    joint = joint_of(pair, sample)
    expected = (outputs(pair[0], sample) + outputs(pair[1], sample)) / 2
    wides = (wide(pair, joint, budget, ridge=ridge, **how) for budget in BUDGETS)
    return [float((run_with(pair[0], found, sample.inputs) - expected).square().mean()) for found in wides]


def test_least_squares_come_nearer_to_the_members_and_so_does_budget() -> None:
    pair, sample = pair_of(lambda: Classifier(4, 40)), images(400, 6)
    solved, plain = errors(pair, sample, 1e-3), errors(pair, sample, float("inf"))
    assert all(one < other for one, other in zip(solved[:-1], plain[:-1], strict=True))
    assert solved[0] > 2 * solved[3] > solved[4]
    assert plain[0] > 2 * plain[3]
    assert solved[4] == pytest.approx(0, abs=1e-8)


def test_heads_apart_give_each_members_own_outputs() -> None:
    pair, sample = (made(lambda: Classifier(3), 1), made(lambda: Classifier(5), 2)), images(40, 6)
    found = wide(pair, joint_of(pair, sample), 1.0)
    expected = torch.cat([outputs(pair[0], sample), outputs(pair[1], sample)], 1)
    torch.testing.assert_close(run_with(pair[0], found, sample.inputs), expected, rtol=1e-5, atol=1e-5)
    half = wide(pair, joint_of(pair, sample), 0.5)
    first = len(half["second.weight"]) - 5  # the second member's own units come last
    assert half["head.weight"].shape == (8, 15)
    assert not half["head.weight"][:3, first:].any()


def test_filters_are_numpys_solution_over_their_patches() -> None:
    pair, sample = pair_of(Filters), images(200, 3, 4, 4)
    joint = joint_of(pair, sample, groups=filters_groups())
    one, other = floating(pair[0]), floating(pair[1])
    layout = laid_out(joint, (one, other), 0.0)
    found = Widening(joint, layout, 0.0).tensor("third.weight", one["third.weight"], other["third.weight"])
    read = [hidden(module, sample) for module in pair]
    with torch.no_grad():
        given = [conv2d(x, module.third.weight, stride=2, padding=1) for x, module in zip(read, pair, strict=True)]
    inputs = (read[0] + read[1][:, joint.orders["a"]]) / 2
    wanted = (given[0] + given[1][:, joint.orders["b"]]) / 2
    rows = unfold(inputs, 3, padding=1, stride=2).transpose(1, 2).flatten(0, 1).double().numpy()
    expected, *_ = np.linalg.lstsq(rows, wanted.movedim(1, -1).flatten(0, 2).double().numpy(), rcond=None)
    assert pytest.approx(expected, abs=1e-4) == found.reshape(8, -1).T


def hidden(module: Any, sample: RunningSample) -> Any:
    """Return what the third layer reads."""
    seen: list[Any] = []
    hook = module.third.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    outputs(module, sample)
    hook.remove()
    return seen[0]


def test_batch_norm_of_own_channels_is_the_members_own() -> None:
    pair, sample = pair_of(Filters), images(30, 3, 4, 4)
    found = wide(pair, joint_of(pair, sample, groups=filters_groups()), 1.0)
    one, other = floating(pair[0]), floating(pair[1])
    for name in ("weight", "bias", "running_mean", "running_var"):
        both = found[f"third_norm.{name}"]
        assert both[:8].tobytes() == one[f"third_norm.{name}"].tobytes()
        assert sorted(both[8:]) == sorted(other[f"third_norm.{name}"])


def test_both_names_of_one_matrix_stay_equal() -> None:
    pair, sample = pair_of(Tied), images(40, 6)
    for budget in BUDGETS:
        found = wide(pair, joint_of(pair, sample), budget)
        assert (found["one.weight"] == found["other.weight"]).all()


def test_attention_is_merged_and_its_stream_widens() -> None:
    pair, sample = pair_of(Attention), texts(40, 6)
    joint = joint_of(pair, sample)
    assert joint.widens == {"residual"}
    found = wide(pair, joint, 0.5)
    assert found["q.weight"].shape == (12, 15)
    assert found["o.weight"].shape == (15, 12)
    assert run_with(pair[0], found, sample.inputs).isfinite().all()
