"""A budget for all groups: even, by quantile, and by the solver."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from planted import groups_of, member

from merge.alignment.groups import Group
from merge.errors import MergeError, UsageError
from merge.partial.allocation import ALLOCATIONS, least_similar, split_units
from merge.partial.parameter_counts import count_parameters, evaluate
from merge.partial.solver import objective
from merge.partial.widths import Layout, wide_shapes

SHAPES = {"up": (8, 3), "bias": (8,), "mid": (5, 8), "wide": (5, 5), "head": (2, 5)}
GROUPS = groups_of(
    Group("a", 8, (member("up", 0, 8), member("bias", 0, 8), member("mid", 1, 8))),
    Group("b", 5, (member("mid", 0, 5), member("wide", 0, 5), member("wide", 1, 5), member("head", 1, 5))),
    Group("still", 3, (member("up", 1, 3),)),
)
BUDGETS = [number / 20 for number in range(21)]


def joint(seed: int = 0) -> Any:
    generator = np.random.default_rng(seed)
    orders = {name: generator.permutation(group.size) for name, group in GROUPS.groups.items()}
    similarity = {name: generator.uniform(-0.2, 1, group.size) for name, group in GROUPS.groups.items()}
    return SimpleNamespace(groups=GROUPS, orders=orders, similarity=similarity, widens=frozenset("ab"))


def counts(found: Any) -> dict[str, int]:
    return {name: len(split.first) for name, split in found.items()}


def parameters(found: Any, given: Any) -> int:
    shapes = wide_shapes(SHAPES, SHAPES, Layout(GROUPS, given.orders, found, {}))
    return sum(int(np.prod(shape)) for shape in shapes.values())


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_the_ends_are_exact(allocation: str) -> None:
    given = joint()
    given.similarity["a"][:] = 1.0  # what costs nothing to merge stays apart as well
    nothing, everything = (split_units(given, SHAPES, SHAPES, end, allocation, {}) for end in (0, 1))
    assert counts(nothing) == {"a": 0, "b": 0}
    assert counts(everything) == {"a": 8, "b": 5}


@pytest.mark.parametrize("allocation", ["even", "quantile"])
def test_more_budget_never_merges_a_pair_that_stood_apart(allocation: str) -> None:
    apart = {"a": set[int](), "b": set[int]()}
    for budget in BUDGETS:
        for name, split in split_units(joint(), SHAPES, SHAPES, budget, allocation, {}).items():
            assert apart[name] <= set(split.first.tolist())
            apart[name] = set(split.first.tolist())


def test_even_takes_the_least_similar_ones_of_every_group() -> None:
    given = joint()
    found = split_units(given, SHAPES, SHAPES, 0.4, "even", {})
    assert counts(found) == {"a": 3, "b": 2}
    for name, split in found.items():
        assert given.similarity[name][split.first].max() < given.similarity[name][split.pairs[:, 0]].min()
        assert (split.second == given.orders[name][split.first]).all()


def test_quantile_has_one_threshold_for_all_groups() -> None:
    given = joint(1)
    found = split_units(given, SHAPES, SHAPES, 0.5, "quantile", {})
    everything = np.sort(np.concatenate([given.similarity["a"], given.similarity["b"]]))
    assert sum(counts(found).values()) == 7
    for name, split in found.items():
        assert (given.similarity[name][split.first] <= everything[6]).all()
        assert (given.similarity[name][split.pairs[:, 0]] > everything[6]).all()


def test_of_equally_similar_pairs_the_first_stay_apart() -> None:
    assert least_similar(np.array([0.5, 0.1, 0.5, 0.5]), 3).tolist() == [True, True, True, False]


def test_the_number_of_parameters_is_that_of_the_shapes() -> None:
    given = joint()
    counted = count_parameters(given, SHAPES, SHAPES, {})
    for budget in BUDGETS:
        found = split_units(given, SHAPES, SHAPES, budget, "quantile", {})
        assert evaluate(counted, counts(found)) == parameters(found, given)


def test_heads_apart_count_as_parameters() -> None:
    second = SHAPES | {"head": (4, 5)}
    counted = count_parameters(joint(), SHAPES, second, {"head": 0})
    alone = count_parameters(joint(), SHAPES, SHAPES, {})
    assert evaluate(counted, {"a": 0, "b": 0}) - evaluate(alone, {"a": 0, "b": 0}) == 4 * 5
    assert counted["b",] - alone["b",] == 4


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("budget", [0.1, 0.35, 0.8])
def test_the_solver_is_best_within_its_bound(seed: int, budget: float) -> None:
    """Every choice is tried: tenths of the eight and five pairs are all numbers of them."""
    given = joint(seed)
    counted = count_parameters(given, SHAPES, SHAPES, {})
    found = counts(split_units(given, SHAPES, SHAPES, budget, "solver", {}))
    ends = [evaluate(counted, {"a": a, "b": b}) for a, b in ((0, 0), (8, 5))]
    bound = ends[0] + budget * (ends[1] - ends[0])
    assert evaluate(counted, found) <= bound
    tried = ({"a": a, "b": b} for a, b in itertools.product(range(9), range(6)))
    similarity = {name: given.similarity[name] for name in "ab"}
    best = min(objective(similarity, one) for one in tried if evaluate(counted, one) <= bound)
    assert objective(similarity, found) <= best * 1.001


def test_the_solver_never_loses_more_than_even_does() -> None:
    given = joint(5)
    similarity = {name: given.similarity[name] for name in "ab"}
    for budget in BUDGETS:
        even, solved = (counts(split_units(given, SHAPES, SHAPES, budget, way, {})) for way in ("even", "solver"))
        counted = count_parameters(given, SHAPES, SHAPES, {})
        if evaluate(counted, even) <= evaluate(counted, solved):
            assert objective(similarity, solved) <= objective(similarity, even)


def test_a_tensor_with_three_widening_axes_is_refused() -> None:
    groups = groups_of(Group("a", 2, tuple(member("cube", axis, 2) for axis in range(3))))
    given = SimpleNamespace(groups=groups, widens=frozenset("a"))
    with pytest.raises(MergeError, match=r"'cube' has more than two axes that widen.*--allocation even"):
        count_parameters(given, {"cube": (2, 2, 2)}, {"cube": (2, 2, 2)}, {})


@pytest.mark.parametrize("budget", [-0.1, 1.5, float("nan")])
def test_a_budget_outside_is_refused(budget: float) -> None:
    with pytest.raises(UsageError, match=r"the budget is .*, and must be from 0"):
        split_units(joint(), SHAPES, SHAPES, budget, "even", {})


def test_a_misspelt_allocation_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no allocation 'quantiles'.*did you mean 'quantile'"):
        split_units(joint(), SHAPES, SHAPES, 0.5, "quantiles", {})


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_nothing_to_widen(allocation: str) -> None:
    given = joint()
    given.widens = frozenset()
    assert split_units(given, SHAPES, SHAPES, 0.5, allocation, {}) == {}
