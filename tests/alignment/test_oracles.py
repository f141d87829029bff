"""Worked numbers: three units by hand, the paper's own counter-example, equal models, equal units, dead units."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from planted import groups_of, member, mlp, noisy, random_state, residual, shuffled

from merge.alignment.declared import AlignmentOptions
from merge.alignment.groups import Group
from merge.alignment.matching import StateReader, match_weights
from merge.alignment.matching.families import families
from merge.alignment.matching.pair import Pair
from merge.alignment.matching.solving import similarities
from merge.alignment.permutations import identity

THREE = {
    "first": np.array([[1.0, 0], [0, 2], [3, 1]]),
    "bias": np.array([0.1, 0.2, 0.3]),
    "second": np.array([[1.0, -1, 2]]),
    "second_bias": np.array([0.5]),
}
UNITS = Group("hidden", 3, (member("first", 0, 3), member("bias", 0, 3), member("second", 1, 3)))


def match(one, other, groups, seed=0, **options):
    readers = StateReader("one", one), StateReader("other", other)
    return match_weights(*readers, groups, AlignmentOptions(**options), seed)


def turned():
    """Return the three units in the order 2, 0, 1."""
    index = [2, 0, 1]
    found = {"first": THREE["first"][index], "bias": THREE["bias"][index], "second": THREE["second"][:, index]}
    return found | {"second_bias": THREE["second_bias"]}


def test_three_units_have_the_similarities_that_were_worked_out_by_hand():
    groups = groups_of(UNITS)
    (family,) = families(groups)
    pair = Pair(StateReader("one", THREE), StateReader("other", turned()))
    found = similarities(pair, family, {"hidden": identity(UNITS, groups)}, family.terms)
    np.testing.assert_allclose(found[()], [[5.03, 2.01, -0.98], [0.06, -0.98, 5.04], [14.09, 5.03, 0.06]])


def test_three_units_are_put_in_their_places():
    found = match(THREE, turned(), groups_of(UNITS), init="identity")
    assert found.orders["hidden"].tolist() == [1, 2, 0]
    # 2.01 + 5.04 + 14.09 of the units, and 0.5^2 of a bias that no group moves; 24.16 would be the largest of every
    # row, which is no permutation
    assert found.report.objective_after == pytest.approx(21.14 + 0.25)
    assert found.report.distance_after == 0
    assert found.report.sweeps == 2
    assert found.report.converged


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("init", ["identity", "anchored"])
def test_the_papers_counter_example_to_greedy_matching(seed, init):
    small = 0.1
    one = {"1": np.array([[1], [1 + small]]), "2": np.diag([1, small]), "3": np.array([[1.0, 0]])}
    other = {"1": np.array([[1], [1 + small]]), "2": np.diag([0, 1.0]), "3": np.array([[0.0, 1]])}
    groups = groups_of(
        Group("first", 2, (member("1", 0, 2), member("2", 1, 2))),
        Group("second", 2, (member("2", 0, 2), member("3", 1, 2))),
    )
    found = match(one, other, groups, seed, init=init)
    assert found.report.objective_before == pytest.approx(2.31)
    assert found.report.objective_after == pytest.approx(4.20)
    assert found.orders["first"].tolist() == found.orders["second"].tolist() == [1, 0]
    middle = (one["1"] + other["1"][[1, 0]]) / 2, (one["2"] + other["2"][[1, 0]][:, [1, 0]]) / 2
    output = (one["3"] + other["3"][:, [1, 0]]) / 2 @ middle[1] @ middle[0]
    assert output.item() == pytest.approx(1.05)


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_the_anchored_start_recovers_ten_of_ten(noise):
    for seed in range(10):
        one, groups = residual(seed)
        reference = noisy(one, noise, seed)
        found = match(reference, shuffled(one, groups, seed), groups, seed)
        best = match(reference, one, groups, seed, init="identity")
        assert found.report.objective_after == pytest.approx(best.report.objective_before, rel=1e-9), seed
        assert noise or found.report.distance_after == 0


def test_from_the_order_as_it_is_some_seeds_get_stuck():
    reached = []
    for seed in range(10):
        one, groups = residual(seed)
        reached.append(match(one, shuffled(one, groups, seed), groups, seed, init="identity").report.distance_after)
    assert max(reached) > 1


@pytest.mark.parametrize("init", ["identity", "anchored"])
def test_equal_models_stay_as_they_are(init):
    one, groups = mlp()
    found = match(one, one, groups, init=init)
    assert all((order == np.arange(len(order))).all() for order in found.orders.values())
    assert found.report.objective_after == pytest.approx(sum(float((array**2).sum()) for array in one.values()))
    assert found.report.sweeps == 1
    assert found.report.same_basin == 1


def test_equal_units_may_change_places_but_the_weights_fit():
    one, groups = mlp()
    for name in ("0.weight", "0.bias"):
        one[name][3] = one[name][7]
    one["1.weight"][:, 3] = one["1.weight"][:, 7]
    for seed in range(5):
        assert match(one, shuffled(one, groups, seed), groups, seed).report.distance_after == 0


def test_dead_units_stay_where_they_are():
    one, groups = mlp()
    for name in ("0.weight", "0.bias"):
        one[name][[2, 5]] = 0
    one["1.weight"][:, [2, 5]] = 0
    found = match(one, shuffled(one, groups, 1), groups)
    assert found.report.distance_after == 0
    assert all(np.isfinite(group.cosine) for group in found.report.groups.values())
    assert match(one, one, groups).orders["mlp.0"].tolist() == list(range(12))


def test_a_network_of_nothing_but_zeros_has_no_cosines():
    one, groups = mlp()
    zeros = {name: np.zeros_like(array) for name, array in one.items()}
    found = match(zeros, zeros, groups)
    assert [group.cosine for group in found.report.groups.values()] == [None] * 3


def test_every_order_of_a_small_network_is_tried():
    """Coordinate descent from several starts finds what trying all orders of two groups finds."""
    groups = groups_of(
        Group("a", 4, (member("1", 0, 4), member("2", 1, 4))), Group("b", 3, (member("2", 0, 3), member("3", 1, 3)))
    )
    one, other = (random_state(seed, "float64", **{"1": (4, 2), "2": (3, 4), "3": (2, 3)}) for seed in (1, 2))
    best = max(
        sum((one[name] * array).sum() for name, array in moved.items())
        for a in itertools.permutations(range(4))
        for b in itertools.permutations(range(3))
        for moved in [{"1": other["1"][list(a)], "2": other["2"][list(b)][:, list(a)], "3": other["3"][:, list(b)]}]
    )
    found = match(one, other, groups, restarts=5)
    assert found.report.objective_after == pytest.approx(best)
