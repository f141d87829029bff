"""What the samplers ask for, on functions whose lowest point is known; and the Pareto front by hand."""

from __future__ import annotations

import math
import os
import sys

import numpy as np
import pytest

from merge.errors import UsageError
from merge.search.pareto import front
from merge.search.samplers import default_sampler, make_sampler
from merge.search.space import Parameter, Space
from merge.searched import Searched


def space(*marks):
    return Space([Parameter(Searched(*mark, name=f"x{number}")) for number, mark in enumerate(marks)])


def minimize(sampler, function, rounds):
    """Return all positions that were asked for and the best of them."""
    asked = []
    for _ in range(rounds):
        batch = sampler.ask()
        asked += batch
        sampler.tell([function(*position) for position in batch])
    return asked, min(asked, key=lambda position: function(*position))


def test_a_grid_is_the_finest_that_the_trials_allow():
    sampler, trials = make_sampler("grid", space((0, 1), (0, 1)), 0, 17)
    asked = sampler.ask()
    assert (trials, len(asked)) == (16, 16)
    assert asked[:5] == [(0, 0), (0, 1 / 3), (0, 2 / 3), (0, 1), (1 / 3, 0)]
    assert sampler.ask() == []


def test_a_grid_of_steps_has_all_of_them():
    stepped = Space([Parameter(Searched(0, 1, step=0.1, name="t"))])
    assert default_sampler(stepped) == "grid"
    sampler, trials = make_sampler("grid", stepped, 0, None)
    assert trials == 11
    assert [stepped.at(position)["t"] for position in sampler.ask()] == [number / 10 for number in range(11)]
    with pytest.raises(UsageError, match="11 points for 10 trials"):
        make_sampler("grid", stepped, 0, 10)


def test_a_coarsest_grid_that_is_too_large():
    with pytest.raises(UsageError, match=r"16 points or more for 15 trials \(give --trials 16"):
        make_sampler("grid", space(*[(0, 1)] * 4), 0, 15)


def test_refinement_by_hand():
    sampler, _ = make_sampler("refine", space((0, 1)), 0, None)
    first = [position for (position,) in sampler.ask()]
    assert first == [number / 8 for number in range(9)]
    sampler.tell([abs(position - 0.5) for position in first])
    second = [position for (position,) in sampler.ask()]
    assert second == pytest.approx([0.5 - 1 / 12, 0.5 - 1 / 24, 0.5 + 1 / 24, 0.5 + 1 / 12])


@pytest.mark.parametrize("lowest", [0.0, 0.3217, 1.0])
def test_refinement_closes_in(lowest):
    sampler, _ = make_sampler("refine", space((0, 1)), 0, None)
    asked, best = minimize(sampler, lambda position: abs(position - lowest), 7)
    assert len(asked) <= 9 + 6 * 4
    assert abs(best[0] - lowest) <= 3**-6 / 8
    assert all(0 <= position <= 1 for (position,) in asked)


def test_refinement_ends_and_takes_few_trials_well():
    sampler, _ = make_sampler("refine", space((0, 1)), 0, None)
    rounds = 0
    while batch := sampler.ask():
        sampler.tell([0.0] * len(batch))
        rounds += 1
    assert rounds == 1 + math.ceil(math.log(1e6 / 8) / math.log(3)) - 1
    assert make_sampler("refine", space((0, 1)), 0, 1)[0].ask() == [(0.5,)]
    assert make_sampler("refine", space((0, 1)), 0, 3)[0].ask() == [(0,), (0.5,), (1,)]


def test_cma_finds_a_narrow_valley():
    def valley(one, two, three):
        return (one - 0.7) ** 2 + 100 * (two - 0.2) ** 2 + 10 * (three - one) ** 2

    sampler, _ = make_sampler("cma", space((0, 1), (0, 1), (0, 1)), 1, None)
    asked, best = minimize(sampler, valley, 60)
    assert np.allclose(best, (0.7, 0.2, 0.7), atol=0.01)
    assert all(0 <= number <= 1 for position in asked for number in position)


def test_cma_goes_on_after_flat_scores_and_failures():
    sampler, _ = make_sampler("cma", space((0, 1), (0, 1)), 0, None)
    asked, _ = minimize(sampler, lambda one, two: math.inf if one < 0.5 else 0.25, 40)
    assert len(asked) == 40 * len(sampler.ask())
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("name", ["cma", "random"])
def test_the_seed_decides_and_the_global_state_has_no_part(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def asked(seed, state):
        np.random.seed(state)
        before = np.random.get_state()[1].tolist()
        found, _ = minimize(make_sampler(name, space((0, 1), (0, 1)), seed, None)[0], lambda a, b: a - b, 5)
        assert np.random.get_state()[1].tolist() == before
        return found

    assert asked(3, 0) == asked(3, 1)
    assert asked(3, 0) != asked(4, 0)
    assert os.listdir(tmp_path) == []


def test_what_a_sampler_does_not_fit():
    with pytest.raises(UsageError, match="needs two options or more"):
        make_sampler("cma", space((0, 1)), 0, None)
    with pytest.raises(UsageError, match="searches one option, 2 are marked"):
        make_sampler("refine", space((0, 1), (0, 1)), 0, None)
    with pytest.raises(UsageError, match="did you mean 'random'"):
        make_sampler("randm", space((0, 1)), 0, None)
    assert (default_sampler(space((0, 1))), default_sampler(space((0, 1), (0, 1)))) == ("refine", "cma")


def test_the_library_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "cma", None)
    with pytest.raises(UsageError, match=r'pip install "merge-checkpoints\[search\]"'):
        make_sampler("cma", space((0, 1), (0, 1)), 0, None)


def test_the_front_by_hand():
    # 0 and 1 trade one for the other, 2 loses to 0, 3 equals 0, 4 is in between and loses to none.
    assert front([(1, 4), (4, 1), (2, 4), (1, 4), (2, 2)]) == [0, 1, 3, 4]
    assert front([]) == []
    assert front([(2,), (1,), (1,)]) == [1, 2]
