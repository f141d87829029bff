"""The search over made-up scores: what is asked, looked up, kept, told and found."""

from __future__ import annotations

import json

import pytest

from merge.errors import MergeError
from merge.evaluation.outcome import Measure
from merge.grammar import parse_recipe
from merge.search.problem import OpenRecipe
from merge.search.samplers import make_sampler
from merge.search.space import settings_of
from merge.search.trials import TrialBook, merge_key, trials_file
from merge.search.tune import Problem, Search, cost

RECIPE = """merge: task-arithmetic
base: base.st
models: [{model: a.st, weight: {search: [0, 1]}}, {model: b.st, weight: {search: [0, 1]}}]
"""
IDENTITIES = {"base.st": "0", "a.st": "1", "b.st": "2"}


class Scores:
    """Stands in for merging and evaluating: a formula over the weights, on two benchmarks."""

    def __init__(self, metric="accuracy", fails=lambda weights: False, better=1):
        self.metric, self.fails, self.better = metric, fails, better
        self.carried_out = 0

    def results(self, recipes):
        for recipe in recipes:
            self.carried_out += 1
            first, second = (model.options["weight"] for model in recipe.merge.models)
            if self.fails((first, second)):
                yield MergeError(f"no {first} and {second}")
                continue
            values = (self.better * (1 - (first - 0.7) ** 2), self.better * (1 - (second - 0.2) ** 2 - first / 10))
            yield [Measure(self.metric, value, value, value, 10) for value in values]


@pytest.fixture
def search(tmp_path):
    """Run a search and return it; all searches of a test share a file of trials."""
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)

    def run(scores, trials, sampler="cma", seed=0, book="trials.jsonl", context="c", settings=()):
        opened = OpenRecipe(path, settings)
        problem = Problem(opened.space, opened.fill, IDENTITIES)
        told = []
        found = Search(problem, scores, TrialBook(tmp_path / book, context), told.append)
        found.run(*make_sampler(sampler, opened.space, seed, trials))
        assert told == [1] * len(found.trials)
        return found

    return run


def rows(search):
    return [(trial.number, tuple(trial.values.values()), trial.measures) for trial in search.trials]


def test_trials_are_numbered_and_the_first_best_counts(search):
    found = search(Scores(), 40)
    assert [trial.number for trial in found.trials] == list(range(40))
    best = max(sum(one.value for one in trial.measures) for trial in found.trials)
    assert sum(one.value for one in found.best.measures) == best
    assert found.best.values["models.0.weight"] == pytest.approx(0.65, abs=0.1)  # where the mean of both is highest
    assert found.best.values["models.1.weight"] == pytest.approx(0.2, abs=0.1)
    flat = search(Scores(better=0), 20, book="flat.jsonl")
    assert flat.best.number == 0


def test_a_loss_is_searched_downwards(search):
    up, down = search(Scores(), 30), search(Scores("loss", better=-1), 30, book="loss.jsonl")
    assert [trial.values for trial in up.trials] == [trial.values for trial in down.trials]
    assert cost(down.best) == -sum(one.value for one in up.best.measures) / 2


@pytest.mark.parametrize("cut", [1, 6, 13])
def test_a_search_that_was_cut_short_goes_on_as_if_it_had_not_been(search, cut):
    whole = search(Scores(), 30, book="whole.jsonl")
    search(Scores(), cut)
    again = Scores()
    found = search(again, 30)
    assert rows(found) == rows(whole)
    assert (again.carried_out, found.reused) == (30 - cut, cut)


def test_a_line_that_was_cut_off_is_carried_out_again(search, tmp_path):
    search(Scores(), 10)
    path = tmp_path / "trials.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    again = Scores()
    assert search(again, 10).reused == 9
    assert again.carried_out == 1
    search(again, 10)
    assert again.carried_out == 1
    assert [json.loads(line)["number"] for line in path.read_text().splitlines() if line.endswith("}")] == list(
        range(10)
    )


def test_other_benchmarks_other_models_and_other_recipes_share_nothing(search):
    search(Scores(), 6)
    for more in ({"context": "d"}, {"settings": ["options.scale=0.5"]}, {"settings": ["missing=skip"]}):
        again = Scores()
        search(again, 6, **more)
        assert again.carried_out == 6, more
    other = parse_recipe(RECIPE, "r", None, ["models.0.weight=0", "models.1.weight=1"])
    assert merge_key(other, IDENTITIES) != merge_key(other, IDENTITIES | {"a.st": "3"})


def test_bounds_and_samplers_have_no_say_in_what_is_known(search):
    search(Scores(), 4, "grid")
    again = Scores()
    steps = ["models.0.weight={search: [0, 1], step: 0.5}", "models.1.weight={search: [0, 1], step: 1}"]
    found = search(again, 6, "grid", settings=steps)
    assert (again.carried_out, found.reused) == (2, 4)


def test_failures_are_trials_and_are_not_kept(search):
    scores = Scores(fails=lambda weights: weights[0] > 0.6)
    found = search(scores, 25)
    failed = [trial for trial in found.trials if trial.failure]
    assert 0 < len(failed) < 25
    assert all(trial.failure.startswith("no 0.") and not trial.measures for trial in failed)
    assert found.best.values["models.0.weight"] <= 0.6
    assert not {trial.number for trial in failed} & set(found.pareto())
    again = Scores(fails=scores.fails)
    assert rows(search(again, 25)) == rows(found)
    assert again.carried_out == len(failed)


def test_nothing_but_failures_ends_the_search_with_the_first(search):
    scores = Scores(fails=lambda weights: True)
    with pytest.raises(MergeError, match=r"no 0\.5"):
        search(scores, 100)
    assert scores.carried_out < 10


def test_no_options_are_tried_twice_and_what_runs_out_ends(search):
    steps = [f"models.{number}.weight={{search: [0, 1], step: 1}}" for number in (0, 1)]
    scores = Scores()
    found = search(scores, 50, "random", settings=steps)
    assert sorted(tuple(trial.values.values()) for trial in found.trials) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert scores.carried_out == 4


def test_the_front_over_two_benchmarks(search):
    found = search(Scores(), 16, "grid")
    expected = [
        trial.number
        for trial in found.trials
        if not any(
            other.measures != trial.measures
            and all(one.value >= two.value for one, two in zip(other.measures, trial.measures, strict=True))
            for other in found.trials
        )
    ]
    assert found.pareto() == expected
    assert 1 < len(expected) < 16


def test_a_file_of_something_else(tmp_path):
    (tmp_path / "notes.txt").write_text("mine\n")
    with pytest.raises(MergeError, match=r"notes.txt: the file holds something else than trials"):
        TrialBook(tmp_path / "notes.txt", "c")
    with pytest.raises(MergeError, match="cannot be kept there"):
        trials_file(tmp_path / "nowhere" / "trials.jsonl").check()
    assert (tmp_path / "notes.txt").read_text() == "mine\n"


def test_the_recipe_is_read_once(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    opened = OpenRecipe(path)
    path.write_text("merge: soup\n")
    filled = opened.fill({"models.0.weight": 0.25, "models.1.weight": 1.0})
    assert [model.options["weight"] for model in filled.merge.models] == [0.25, 1.0]
    assert settings_of({"options.k": 3}) == ["options.k=3"]
