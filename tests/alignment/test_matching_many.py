"""Three and more models: to the first, to the medoid, or to the mean of the others."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from planted import attention, distance, mlp, moved, noisy, random_orders, residual, shuffled

from merge.alignment.declared import AlignmentOptions
from merge.alignment.matching import StateReader, match_many
from merge.alignment.matching.mean_reader import MeanReader
from merge.alignment.matching.relative import relative
from merge.alignment.permutations import is_valid


def match(states, groups, seed=0, **options):
    readers = [StateReader(f"model {number}", state) for number, state in enumerate(states)]
    return match_many(readers, groups, AlignmentOptions(**options), seed)


@pytest.mark.parametrize("many", ["reference", "medoid", "mean"])
def test_planted_models_come_to_the_first(many):
    one, groups = attention()
    states = [one, *(shuffled(one, groups, seed) for seed in range(3))]
    found = match(states, groups, many=many)
    assert len(found) == 3
    for state, matched in zip(states[1:], found, strict=True):
        assert distance(one, moved(state, groups, matched.orders)) == 0
        assert matched.report.distance_after == 0
        assert all(is_valid(matched.orders[name], group, groups) for name, group in groups.groups.items())


def _spread(states, groups, found):
    aligned = [states[0], *(moved(state, groups, m.orders) for state, m in zip(states[1:], found, strict=True))]
    return sum(distance(one, other) ** 2 for one, other in combinations(aligned, 2))


def test_matching_to_the_mean_brings_independent_models_nearer_together():
    for make, seed in ((mlp, 0), (residual, 1), (attention, 2)):
        states = [make(seed + 10 * number)[0] for number in range(4)]
        groups = make()[1]
        to_first, to_mean = (match(states, groups, many=many) for many in ("reference", "mean"))
        assert _spread(states, groups, to_mean) < _spread(states, groups, to_first)
        assert all(matched.report.converged for matched in to_mean)
        assert to_mean[0].report.sweeps > 1
        aligned = moved(states[1], groups, to_mean[0].orders)
        assert to_mean[0].report.distance_after == pytest.approx(distance(states[0], aligned))


def test_noisy_copies_are_found_by_the_mean():
    one, groups = residual(3)
    states = [noisy(shuffled(one, groups, seed), 0.8, seed) for seed in range(4)]
    found = match(states, groups, many="mean")
    truth = [random_orders(groups, seed) for seed in range(4)]
    for number, matched in enumerate(found, 1):
        for name in groups.groups:
            np.testing.assert_array_equal(truth[number][name][matched.orders[name]], truth[0][name])


def test_of_two_models_the_mean_of_the_others_is_the_other():
    one, groups = mlp(1)
    other, _ = mlp(9)
    first, second = (match([one, other], groups, many=many)[0] for many in ("reference", "mean"))
    (third,) = match([one, other], groups, many="medoid")
    assert all((first.orders[name] == second.orders[name]).all() for name in groups.groups)
    assert all((first.orders[name] == third.orders[name]).all() for name in groups.groups)


def test_the_same_seed_gives_the_same_orders():
    states = [mlp(10 * number)[0] for number in range(3)]
    groups = mlp()[1]
    one, other = (match(states, groups, 5, many="mean") for _ in range(2))
    for first, second in zip(one, other, strict=True):
        assert all((first.orders[name] == second.orders[name]).all() for name in groups.groups)


def test_orders_into_a_common_order_become_orders_into_the_first_models():
    state, groups = attention()
    for seed in range(5):
        orders, base = random_orders(groups, seed), random_orders(groups, seed + 100)
        found = moved(moved(state, groups, relative(orders, base, groups)), groups, base)
        assert distance(found, moved(state, groups, orders)) == 0


def test_the_mean_is_read_one_tensor_at_a_time():
    one, groups = mlp(1)
    other, _ = mlp(9)
    orders = random_orders(groups, 3)
    mean = MeanReader([(StateReader("one", one), {}), (StateReader("other", other), orders)], groups)
    aligned = moved(other, groups, orders)
    for name in one:
        np.testing.assert_allclose(mean.read(name), (one[name] + aligned[name]) / 2, rtol=1e-6)


def test_the_medoid_is_the_model_that_the_others_are_copies_of():
    one, groups = residual(2)
    for place in range(4):
        states = [noisy(shuffled(one, groups, seed), 0.6, seed) for seed in range(4)]
        states[place] = shuffled(one, groups, place)
        told = []
        readers = [StateReader(f"model {number}", state) for number, state in enumerate(states, 1)]
        found = match_many(readers, groups, AlignmentOptions(many="medoid"), 0, note=told.append)
        assert found[0].report.many.medoid == place + 1
        assert "the medoid takes a matching of every pair of 4 models: 6 matchings" in told
        assert f"model {place + 1} is the medoid: 'model {place + 1}'" in told
        assert all(matched.report.distance_before > matched.report.distance_after for matched in found)


def test_all_models_are_as_near_to_the_medoid_as_when_matched_to_it():
    states, groups = [mlp(10 * number)[0] for number in range(4)], mlp()[1]
    found = match(states, groups, many="medoid")
    medoid = found[0].report.many.medoid - 1
    ordered = [states[medoid], *(state for number, state in enumerate(states) if number != medoid)]
    wanted = sorted(matched.report.distance_after for matched in match(ordered, groups))
    distances = sorted(found[0].report.many.distances_after[medoid])[1:]
    np.testing.assert_allclose(distances, wanted, rtol=0.02)  # found from the other side, it may be another optimum


def test_merge_many_tells_round_by_round_how_it_converges():
    states, groups = [mlp(10 * number)[0] for number in range(4)], mlp()[1]
    found = match(states, groups, many="mean")
    rounds = found[0].report.many.rounds
    assert [one.stage for one in rounds] == ["start", *["merge-many"] * found[0].report.sweeps]
    assert [one.objective for one in rounds] == sorted(one.objective for one in rounds)
    assert [one.distance for one in rounds] == sorted((one.distance for one in rounds), reverse=True)
    assert rounds[1].changed > 0
    assert rounds[-1].changed == 0
    aligned = [states[0], *(moved(state, groups, m.orders) for state, m in zip(states[1:], found, strict=True))]
    mean = {name: sum(state[name].astype("f8") for state in aligned) / 4 for name in aligned[0]}
    wanted = np.sqrt(np.mean([distance(state, mean) ** 2 for state in aligned]))
    assert rounds[-1].distance == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("many", ["reference", "medoid", "mean", "universe"])
def test_the_distances_of_every_pair_are_reported(many):
    states, groups = [mlp(10 * number)[0] for number in range(3)], mlp()[1]
    found = match(states, groups, many=many)
    aligned = [states[0], *(moved(state, groups, m.orders) for state, m in zip(states[1:], found, strict=True))]
    for number, matched in enumerate(found, 2):
        report = matched.report.many
        assert (report.way, report.model) == (many, number)
        for members, told in ((states, report.distances_before), (aligned, report.distances_after)):
            np.testing.assert_allclose(told, [[distance(one, two) for two in members] for one in members], rtol=1e-6)
        assert report.distances_after[0][number - 1] == pytest.approx(matched.report.distance_after)
        assert matched.report.document()["many"]["way"] == many


def test_two_models_have_no_more_to_tell_than_a_pair():
    (matched,) = match([mlp(1)[0], mlp(9)[0]], mlp()[1], many="mean")
    assert matched.report.many is None
