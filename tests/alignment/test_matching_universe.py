"""Several models matched to a universe: cycle-consistent, and at least as near together as by MergeMany."""

from __future__ import annotations

from itertools import pairwise, permutations, product

import numpy as np
import pytest
from planted import (
    attention,
    distance,
    grouped_attention,
    groups_of,
    member,
    mlp,
    moved,
    noisy,
    random_orders,
    random_state,
    residual,
    shuffled,
)

from merge.alignment.declared import AlignmentOptions
from merge.alignment.groups import Group
from merge.alignment.matching import StateReader, match_many, match_weights
from merge.alignment.matching.blending import blended, matrix_of
from merge.alignment.matching.moving import on_tensor
from merge.alignment.matching.relative import relative
from merge.alignment.matching.several import Several
from merge.alignment.permutations import identity, is_valid
from merge.errors import MergeError

MAKERS = (mlp, residual, attention, grouped_attention)


def readers_of(states):
    return [StateReader(f"model {number}", state) for number, state in enumerate(states, 1)]


def match(states, groups, seed=0, note=None, **options):
    return match_many(readers_of(states), groups, AlignmentOptions(**options), seed, note=note)


def same(one, other) -> bool:
    return all((one.orders[name] == other.orders[name]).all() for name in other.orders)


def objective(states) -> float:
    """Return the sum over pairs of the inner products, the plain way."""
    total = {name: sum(state[name].astype("f8") for state in states) for name in states[0]}
    squares = sum((state[name].astype("f8") ** 2).sum() for state in states for name in state)
    return float((sum((one**2).sum() for one in total.values()) - squares) / 2)


@pytest.mark.parametrize("many", ["universe", "medoid"])
@pytest.mark.parametrize("make", MAKERS)
def test_shuffled_copies_are_found(make, many):
    one, groups = make()
    states = [one, *(shuffled(one, groups, seed) for seed in range(2))]
    for state, matched in zip(states[1:], match(states, groups, many=many), strict=True):
        assert distance(one, moved(state, groups, matched.orders)) == 0
        assert matched.report.distance_after == 0
        assert np.array_equal(matched.report.many.distances_after, np.zeros((3, 3)))


def small_residual(seed: int = 0):
    return residual(seed, 16, 24)


@pytest.mark.parametrize("make", [mlp, small_residual, attention, grouped_attention])
def test_the_models_end_at_least_as_near_together_as_by_merge_many(make):
    for seed in range(2):
        states = [make(seed + 10 * number)[0] for number in range(3)]
        groups = make()[1]
        sums = {}
        for many in ("reference", "mean", "universe"):
            found = match(states, groups, many=many)
            assert all(is_valid(m.orders[name], groups.groups[name], groups) for m in found for name in m.orders)
            aligned = [states[0], *(moved(s, groups, m.orders) for s, m in zip(states[1:], found, strict=True))]
            sums[many] = objective(aligned)
        assert sums["universe"] >= sums["mean"] - 1e-6 * abs(sums["mean"]) >= sums["reference"] - 1e-3
        rounds = found[0].report.many.rounds
        assert rounds[-1].objective == pytest.approx(sums["universe"], rel=1e-5)


def test_the_sum_never_falls_and_is_that_of_the_orders():
    one, groups = small_residual(3)
    states = [noisy(shuffled(one, groups, seed), 0.8, seed) for seed in range(3)]
    rounds = match(states, groups, many="universe")[0].report.many.rounds
    assert [one.stage for one in rounds if one.stage != "frank-wolfe"][:2] == ["start", "rounded"]
    for stages in (("start", "frank-wolfe"), ("rounded", "merge-many")):
        values = [one.objective for one in rounds if one.stage in stages]
        assert all(later >= earlier - 1e-9 * abs(earlier) for earlier, later in pairwise(values))
    last = next(number for number, one in enumerate(rounds) if one.stage == "rounded")
    assert rounds[last].objective == pytest.approx(rounds[last - 1].objective, rel=1e-4)


def one_layer(seed: int):
    state = random_state(seed, first=(3, 2), bias=(3,), head=(2, 3))
    members = (member("first", 0, 3), member("bias", 0, 3), member("head", 1, 3))
    return state, groups_of(Group("units", 3, members, "mlp"))


def test_of_all_orders_of_three_small_models_none_is_better():
    best = 0
    for seed in range(10):
        states, groups = [one_layer(seed + 100 * number)[0] for number in range(3)], one_layer(0)[1]
        choices = [{"units": np.array(order)} for order in permutations(range(3))]
        pairs = product(choices, choices)
        optimum = max(
            objective([states[0], moved(states[1], groups, one), moved(states[2], groups, two)]) for one, two in pairs
        )
        found = match(states, groups, many="universe")[0].report.many.rounds[-1].objective
        assert found <= optimum * (1 + 1e-6)
        best += found == pytest.approx(optimum, rel=1e-6)
    assert best >= 8


def test_orders_agree_around_every_cycle_where_pairwise_ones_do_not():
    states, groups = [mlp(10 * number)[0] for number in range(3)], mlp()[1]
    as_it_is = {name: identity(group, groups) for name, group in groups.groups.items()}
    to_first = [as_it_is, *(matched.orders for matched in match(states, groups, many="universe"))]

    def between(one: int, other: int):
        """Return the order that brings a model into another's."""
        return relative(to_first[other], to_first[one], groups)

    for one, two, three in permutations(range(3)):
        through = moved(moved(states[three], groups, between(two, three)), groups, between(one, two))
        assert distance(through, moved(states[three], groups, between(one, three))) == 0

    def pairwise(one: int, other: int):
        readers = readers_of([states[one], states[other]])
        return match_weights(*readers, groups, AlignmentOptions(), 0).orders

    through = moved(moved(states[2], groups, pairwise(1, 2)), groups, pairwise(0, 1))
    assert distance(through, moved(states[2], groups, pairwise(0, 2))) > 1


def test_of_two_models_a_universe_is_no_worse_than_their_matching():
    for make, seed in product((mlp, small_residual, attention, grouped_attention), range(2)):
        states, groups = [make(seed)[0], make(seed + 50)[0]], make()[1]
        reference, universe = (match(states, groups, many=many)[0].report for many in ("reference", "universe"))
        assert universe.objective_after >= reference.objective_after - 1e-6 * abs(reference.objective_after)


def test_the_same_seed_gives_the_same_orders():
    states, groups = [residual(10 * number, 24, 40)[0] for number in range(3)], residual(0, 24, 40)[1]
    one, other = (match(states, groups, 5, many="universe") for _ in range(2))
    assert all(map(same, one, other))
    assert one[0].report.many == other[0].report.many


def test_dead_and_equal_units_do_no_harm():
    states, groups = [mlp(10 * number)[0] for number in range(3)], mlp()[1]
    for state in states:
        for unit, value in ((3, 0.0), (5, 0.0), (7, state["0.weight"][6])):
            state["0.weight"][unit] = value
            state["0.bias"][unit], state["1.weight"][:, unit] = 0, 0
    for many in ("universe", "medoid", "mean"):
        for matched in match(states, groups, many=many):
            assert all(is_valid(matched.orders[name], group, groups) for name, group in groups.groups.items())
    for copy in match([states[0]] * 3, groups, many="universe"):
        assert all((copy.orders[name] == np.arange(group.size)).all() for name, group in groups.groups.items())


def tied(seed: int, *, is_tied: bool):
    state = random_state(seed, table=(30, 8), inner=(8, 12), outer=(12, 8))
    stream = (member("table", 1, 8), member("inner", 0, 8), member("outer", 1, 8))
    if is_tied:
        state["copy"] = state["table"].copy()
        stream += (member("copy", 1, 8),)
    inner = (member("inner", 1, 12), member("outer", 0, 12))
    return state, groups_of(Group("residual", 8, stream, "residual"), Group("mlp", 12, inner, "mlp"))


def test_tied_tensors_count_once():
    found = {}
    for is_tied in (True, False):
        states = [tied(10 * number, is_tied=is_tied)[0] for number in range(3)]
        found[is_tied] = match(states, tied(0, is_tied=is_tied)[1], many="universe")
    assert all(map(same, found[True], found[False]))
    assert found[True][0].report.many == found[False][0].report.many


def square(seed: int, width: int = 9):
    """A map from a stream of units to the same stream: their order enters squared."""
    state = random_state(seed, stem=(width, 6), square=(width, width), head=(4, width))
    members = (
        member("stem", 0, width),
        member("square", 0, width),
        member("square", 1, width),
        member("head", 1, width),
    )
    return state, groups_of(Group("residual", width, members, "residual"))


def test_a_group_on_both_axes_of_one_tensor():
    one, groups = square(1)
    states = [one, *(shuffled(one, groups, seed) for seed in range(2))]
    assert all(matched.report.distance_after == 0 for matched in match(states, groups, many="universe"))
    for seed in range(3):
        states = [square(seed + 10 * number)[0] for number in range(3)]
        rounds = match(states, groups, many="universe")[0].report.many.rounds
        steps = [one.objective for one in rounds if one.stage in {"start", "frank-wolfe"}]
        assert steps == sorted(steps)
        assert rounds[-1].objective >= rounds[0].objective


def test_only_heads_are_matched_by_merge_many():
    states, groups = [attention(10 * number)[0] for number in range(3)], attention()[1]
    told = []
    options = {"only": "heads,within-heads"}
    found = match(states, groups, note=told.append, many="universe", **options)
    assert all(map(same, found, match(states, groups, many="mean", **options)))
    assert any("this is MergeMany alone" in text for text in told)
    assert any("this is MergeMany alone" in text for text in found[0].report.notes)
    assert "residual" not in found[0].orders


def test_it_tells_what_it_costs_and_each_thing_once():
    states, groups = [mlp(10 * number)[0] for number in range(3)], mlp()[1]
    told = []
    match(states, groups, note=told.append, many="universe")
    assert "universe: 3 groups of 3 models at once, 9 assignment problems in each step" in told[0]
    told.clear()
    match([states[0]] * 3, groups, note=told.append)
    assert len(told) == 1
    assert "share an ancestor" in told[0]


@pytest.mark.parametrize("many", ["medoid", "mean", "universe"])
def test_models_that_do_not_fit_are_refused(many):
    states, groups = [mlp(10 * number)[0] for number in range(3)], mlp()[1]
    odd = dict(states[2], **{"1.bias": np.full(10, np.nan, "f4")})
    with pytest.raises(MergeError, match=r"'1\.bias' holds NaN"):
        match([*states[:2], odd], groups, many=many)
    wide = dict(states[2], **{"1.bias": np.zeros(11, "f4")})
    with pytest.raises(MergeError, match=r"'1\.bias' is"):
        match([*states[:2], wide], groups, many=many)


def test_units_at_single_places_are_gathered_and_mixed_ones_averaged():
    state, groups = attention()
    orders = random_orders(groups, 3, "residual")
    for name, array in state.items():
        mixed = blended(array, on_tensor(groups, name), {"residual": matrix_of(orders["residual"])})
        np.testing.assert_array_equal(mixed, moved(state, groups, orders)[name])
    half = (matrix_of(orders["residual"]) + matrix_of(np.arange(24))) / 2
    mixed = blended(state["stem"], on_tensor(groups, "stem"), {"residual": half})
    np.testing.assert_allclose(mixed, (state["stem"][orders["residual"]] + state["stem"]) / 2, rtol=1e-6)


def test_distances_and_standing_are_those_of_the_tensors():
    states, groups = [mlp(10 * number)[0] for number in range(3)], mlp()[1]
    orders = [random_orders(groups, seed) for seed in range(3)]
    aligned = [moved(state, groups, own) for state, own in zip(states, orders, strict=True)]
    models = Several.of(readers_of(states), groups)
    wanted = [[distance(one, other) for other in aligned] for one in aligned]
    np.testing.assert_allclose(models.distances(orders), wanted, rtol=1e-6)
    standing = models.standing(orders)
    mean = {name: sum(state[name].astype("f8") for state in aligned) / 3 for name in aligned[0]}
    assert standing.objective == pytest.approx(objective(aligned))
    assert standing.distance == pytest.approx(np.sqrt(np.mean([distance(state, mean) ** 2 for state in aligned])))
