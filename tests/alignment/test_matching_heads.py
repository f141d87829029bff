"""Groups within groups: heads, the units within them, and grouped queries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from planted import attention, distance, grouped_attention, groups_of, member, moved, noisy, random_state, shuffled

from merge.alignment.declared import AlignmentOptions
from merge.alignment.groups import Group
from merge.alignment.matching import StateReader, match_weights, solving
from merge.alignment.permutations import is_valid

MAKERS = [attention, grouped_attention]


def match(one, other, groups, seed=0, *, note=None, progress=None, **options):
    readers = StateReader("one", one), StateReader("other", other)
    return match_weights(*readers, groups, AlignmentOptions(**options), seed, note=note, progress=progress)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_planted_heads_and_units_within_heads_are_found(make, noise):
    for seed in range(4):
        one, groups = make(seed)
        reference = noisy(one, noise, seed)
        other = shuffled(one, groups, seed)
        found = match(reference, other, groups, seed)
        assert distance(one, moved(other, groups, found.orders)) == 0
        assert all(is_valid(found.orders[name], group, groups) for name, group in groups.groups.items())


@pytest.mark.parametrize("make", MAKERS)
def test_heads_are_found_from_the_order_as_it_is_where_the_stream_stays(make):
    one, groups = make()
    names = [name for name in groups.groups if name != "residual"]
    found = match(one, shuffled(one, groups, 5, *names), groups, init="identity", only="heads, within-heads")
    assert found.report.distance_after == 0
    assert set(found.orders) == set(names)


@pytest.mark.parametrize("make", MAKERS)
def test_singular_values_tell_which_head_is_which(make, monkeypatch):
    monkeypatch.setattr(solving, "MOST_HEADS", 2)
    called = []
    original = solving.match_by_spectra
    monkeypatch.setattr(solving, "match_by_spectra", lambda *given: called.append(1) or original(*given))
    for seed in range(3):
        one, groups = make(seed)
        steps = []
        found = match(one, shuffled(one, groups, seed), groups, seed, progress=steps.append)
        assert found.report.distance_after == 0
        assert steps[-1].objective == pytest.approx(found.report.objective_after)
    assert called


def test_of_independent_models_the_best_of_all_orders_is_found():
    """Two heads of three units: all 2 x 6^2 x 6^2 orders are tried."""
    one, groups = attention(0, width=5, heads=2, size=3)
    other, _ = attention(1, width=5, heads=2, size=3)
    best = max(_objectives(one, other, groups))
    found = match(one, other, groups, only="heads,within-heads")
    assert found.report.objective_after == pytest.approx(best, rel=1e-6)


def _objectives(one, other, groups):
    rows = list(itertools.product(itertools.permutations(range(3)), repeat=2))
    for heads in itertools.permutations(range(2)):
        values = [{}, {}]
        for row in rows:
            for slot, name in enumerate(("heads.qk", "heads.vo")):
                orders = {"heads": np.array(heads), name: np.array(row)}
                values[slot][row] = _sum(one, moved(other, groups, orders))
        base = _sum(one, moved(other, groups, {"heads": np.array(heads)}))
        yield max(values[0].values()) + max(values[1].values()) - base  # queries and values share no tensor


def _sum(one, other):
    return sum(float((one[name].astype("f8") * other[name]).sum()) for name in one)


def test_grouped_queries_and_values_that_share_a_tensor_never_lose():
    one, groups = grouped_attention(0)
    for seed in range(1, 6):
        other, _ = grouped_attention(seed)
        steps = []
        found = match(one, other, groups, seed, progress=steps.append)
        objectives = [step.objective for step in steps if step.stage == "sweep"]
        assert objectives == sorted(objectives)
        aligned = moved(other, groups, found.orders)
        assert found.report.objective_after == pytest.approx(_sum(one, aligned), rel=1e-6)
        assert objectives[-1] == pytest.approx(found.report.objective_after)


@pytest.mark.parametrize("make", MAKERS)
def test_heads_that_may_not_move_keep_their_places_while_their_units_move(make):
    one, groups = make()
    only = "within-heads"
    names = [group.name for group in groups.groups.values() if group.kind == only]
    found = match(one, shuffled(one, groups, 5, *names), groups, init="identity", only=only)
    assert found.report.distance_after == 0
    assert sorted(found.orders) == sorted(names)


def test_units_that_may_not_move_keep_their_order_while_heads_move():
    one, groups = attention()
    found = match(one, shuffled(one, groups, 5, "heads"), groups, init="identity", only="heads")
    assert found.report.distance_after == 0
    assert sorted(found.orders) == ["heads"]


def test_equal_models_stay_as_they_are():
    for make in MAKERS:
        one, groups = make()
        found = match(one, one, groups)
        assert all((order == np.arange(order.shape[-1])).all() for order in found.orders.values())
        assert found.report.same_basin == 1
        assert found.report.sweeps == 1


def test_a_fused_matrix_moves_queries_keys_and_values_together():
    one = random_state(0, stem=(8, 5), qkv=(3 * 4 * 6, 8), bias=(72,), proj=(8, 24), out=(3, 8))
    fused = (member("qkv", 0, 3, 4, 6, factor=1), member("bias", 0, 3, 4, 6, factor=1), member("proj", 1, 4, 6))
    inner = (
        member("qkv", 0, 3, 4, 6, factor=2),
        member("bias", 0, 3, 4, 6, factor=2),
        member("proj", 1, 4, 6, factor=1),
    )
    stream = (member("stem", 0, 8), member("qkv", 1, 8), member("proj", 0, 8), member("out", 1, 8))
    groups = groups_of(
        Group("residual", 8, stream, "residual"),
        Group("heads", 4, fused, "heads"),
        Group("within", 6, inner, "within-heads", "heads"),
    )
    for seed in range(3):
        assert match(one, shuffled(one, groups, seed), groups, seed).report.distance_after == 0


def test_groups_may_cut_an_axis_more_finely_than_their_parent():
    one = random_state(0, v=(12, 5), o=(4, 12))
    groups = groups_of(
        Group("heads", 3, (member("v", 0, 3, 4), member("o", 1, 3, 4)), "heads"),
        Group("pairs", 2, (member("v", 0, 3, 2, 2, factor=1), member("o", 1, 3, 2, 2, factor=1)), "other", "heads"),
    )
    assert match(one, shuffled(one, groups, 2), groups).report.distance_after == 0


def test_what_is_nested_twice_or_lies_elsewhere_stays_with_a_note():
    one, groups = attention()
    deeper = Group("deep", 3, (member("q", 0, 4, 2, 3, factor=2),), "other", "heads.qk")
    elsewhere = Group("elsewhere", 6, (member("q", 0, 2, 6, factor=1),), "other", "heads")
    notes = []
    found = match(one, one, groups_of(*groups.groups.values(), deeper, elsewhere), note=notes.append)
    assert any("'deep' stays as it is: it is nested in a group that is nested" in note for note in notes)
    assert any("'elsewhere' stays as it is: its pieces of axes are others" in note for note in notes)
    assert not {"deep", "elsewhere"} & set(found.orders)
