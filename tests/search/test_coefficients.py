"""``--strategy coefficients``: which weights are tried, which are chosen, and what is written and reported."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from merge.cli import main
from merge.commands.strategy_flags import strategy_parameters, take_strategy
from merge.errors import MergeError, UsageError
from merge.evaluation import evaluate
from merge.evaluation.specification import read_benchmarks
from merge.evaluation.task import Settings
from merge.methods.soup import Soup
from merge.recipe import Merge, Model, Recipe
from merge.search.coefficients import Point, best_of, points, search_coefficients, with_weights
from merge.search.greedy import Score
from merge.search.objective import Objective


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setattr(Soup, "strategies", ("greedy", "learned", "coefficients"))

    def call(*arguments, code=0):
        found = main([*map(str, arguments)])
        printed = capsys.readouterr()
        assert found == code, printed.err
        return printed

    return call


def search(run, models, out, benchmark, *more):
    arguments = ["soup", *models, "--strategy", "coefficients", "--benchmark", benchmark, "-o", out, "--json", *more]
    return json.loads(run(*arguments).out)["coefficients"]


def accuracy(model, benchmark):
    return evaluate([str(model)], [benchmark]).results[0]["value"]


def test_the_points_of_two_models():
    """Oracle F3."""
    found = points(2, 0)
    assert len(found) == 51
    assert found[:3] == [(1.0, 0.0), (0.98, 0.02), (0.96, 0.04)]
    assert found[-2:] == [(0.02, 0.98), (0.0, 1.0)]
    assert points(2, 1) == found


def test_the_points_of_more_models_go_by_the_seed():
    found = points(3, 7)
    expected = np.random.Generator(np.random.PCG64(7)).dirichlet([1, 1, 1], size=51)
    np.testing.assert_array_equal(found, expected)
    assert np.abs(np.sum(found, axis=1) - 1).max() < 1e-12
    assert found != points(3, 8)
    assert [len(found), len(points(5, 0)[0])] == [51, 5]


def scored(*values, metric="accuracy"):
    return [Point((1.0, 0.0), None if value is None else Score(value, 0, 1, 4, metric)) for value in values]


@pytest.mark.parametrize(
    ("values", "metric", "expected"),
    [
        ((0.5, 0.75, 0.75, 0.7), "accuracy", 1),
        ((0.9, 0.2 + 0.7, 0.1), "accuracy", 0),  # they differ by rounding alone
        ((2.0, 0.5, 0.5), "loss", 1),
        ((None, 0.1, None), "accuracy", 1),
    ],
)
def test_the_first_of_the_best(values, metric, expected):
    tried = scored(*values, metric=metric)
    assert best_of(tried) is tried[expected]


def test_no_point_with_a_score():
    with pytest.raises(MergeError, match="no weights of the models can be merged and evaluated: too large"):
        best_of([Point((1.0, 0.0), failure="too large"), Point((0.0, 1.0), failure="too small")])


def test_all_points_are_scored_as_the_merge_that_they_stand_for(run, models, benchmarks, tmp_path):
    out = tmp_path / "out"
    found = search(run, models[:2], out, benchmarks["select"])
    assert [row["weights"] for row in found["points"]] == [list(one) for one in points(2, 0)]
    for place in (0, 13, 50):
        weights = ",".join(map(str, found["points"][place]["weights"]))
        run("soup", *models[:2], "--weights", weights, "-o", tmp_path / "one", "--force")
        assert found["points"][place]["score"] == accuracy(tmp_path / "one", benchmarks["select"])
    scores = [row["score"] for row in found["points"]]
    best = scores.index(max(scores))
    assert [place for place, row in enumerate(found["points"]) if row["accepted"]] == [best]
    assert [row["weight"] for row in found["weights"]] == found["points"][best]["weights"]
    assert found["score"] == found["written"]["score"] == accuracy(out, benchmarks["select"]) == max(scores)


def test_what_is_written_is_an_ordinary_merge_that_says_so(run, models, benchmarks, tmp_path):
    out = tmp_path / "out"
    found = search(run, models[:2], out, benchmarks["select"])
    first, second = (load_file(f"{model}/model.safetensors") for model in models[:2])
    one, two = (row["weight"] for row in found["weights"])
    for name, tensor in load_file(out / "model.safetensors").items():
        expected = one * first[name].double() + two * second[name].double()
        torch.testing.assert_close(tensor.double(), expected, rtol=1e-6, atol=1e-7)
    with safe_open(out / "model.safetensors", "pt") as file:
        assert file.metadata()["merge.data_use"] == "held-out"
    card = (out / "README.md").read_text()
    assert "weights chosen on select, the best of 51 points" in card
    run("verify", out)


def test_more_models_and_another_measure(run, models, benchmarks, tmp_path):
    found = search(run, models, tmp_path / "out", benchmarks["select"], "--seed", "5", "--metric", "loss")
    assert [row["weights"] for row in found["points"]] == [list(one) for one in points(3, 5)]
    scores = [row["score"] for row in found["points"]]
    assert (found["metric"], found["higher_is_better"], found["seed"]) == ("loss", False, 5)
    assert found["points"][scores.index(min(scores))]["accepted"]


def test_other_options_of_the_method_stay(run, models, benchmarks, tmp_path):
    found = search(run, models[:2], tmp_path / "out", benchmarks["select"], "--normalize")
    assert "--normalize" not in found
    recipe = json.loads(run("inspect", tmp_path / "out", "--json").out)
    assert "normalize" in json.dumps(recipe)


def test_fisher_weighted_averages(models, benchmarks, tmp_path):
    torch.manual_seed(0)
    statistics = []
    for number, model in enumerate(models[:2]):
        tensors = load_file(f"{model}/model.safetensors")
        save_file({name: torch.rand_like(tensor) for name, tensor in tensors.items()}, tmp_path / f"{number}.st")
        statistics.append({"fisher": str(tmp_path / f"{number}.st")})
    merged = tuple(Model(model, statistics=one) for model, one in zip(models, statistics, strict=False))
    recipe = Recipe(Merge("fisher", merged, options={"floor": 1e-5}))
    objective = Objective.prepare(read_benchmarks([benchmarks["select"]]), Settings())
    found, section = search_coefficients(recipe, objective, lambda line: None)
    assert found.merge.options == {"floor": 1e-5}
    assert [model.statistics for model in found.merge.models] == statistics
    assert [model.options["weight"] for model in found.merge.models] == [row["weight"] for row in section["weights"]]
    assert section["points"][0]["score"] == accuracy(models[0], benchmarks["select"])
    assert section["points"][-1]["score"] == accuracy(models[1], benchmarks["select"])
    scores = [row["score"] for row in section["points"]]
    uniform = with_weights(recipe, (1.0, 0.0))
    assert (max(scores), uniform.merge.models[1].options["weight"]) == (section["score"], 0.0)
    assert len(set(scores)) > 1


def test_the_report_shows_all_points(run, models, benchmarks, tmp_path):
    report = tmp_path / "report"
    more = ["--report", report, "--report-benchmark", benchmarks["report"]]
    found = search(run, models[:2], tmp_path / "out", benchmarks["select"], *more)
    assert json.loads((report / "results.json").read_text())["coefficients"] == found
    text, page = (report / "report.md").read_text(), (report / "report.html").read_text()
    assert "51 weightings of the models were merged and scored on select (split select)" in text
    assert "among equals the first counts" in text
    assert text.count("| yes |") >= 1
    assert "by the weight of m2" in page
    assert found["same_data_as_report"] is False
    assert "Selection and report use the same data" not in text


def test_the_same_data_for_choice_and_report_is_a_warning(run, models, benchmarks, tmp_path):
    report = tmp_path / "report"
    arguments = ["soup", *models, "--strategy", "coefficients", "--benchmark", benchmarks["select"]]
    more = ["--report-benchmark", benchmarks["mixed"], "--report", report, "-o", tmp_path / "out"]
    assert "its numbers flatter it" in run(*arguments, *more).err
    assert (
        "the weights of the models were chosen on the data that is reported here" in (report / "report.md").read_text()
    )


def test_a_dry_run_says_what_it_would_cost(run, models, benchmarks, tmp_path):
    arguments = ["--strategy", "coefficients", "--benchmark", benchmarks["select"], "-o", tmp_path / "out"]
    printed = run("soup", *models, *arguments, "--dry-run")
    assert "coefficients: 52 evaluations" in printed.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategy", "coefficients"], "needs held-out data"),
        (["--strategy", "coeficients"], "did you mean 'coefficients'?"),
        (["--strategy", "coefficients", "--benchmark", "digits", "--weights", "1,2,3"], "itself (leave --weights out)"),
        (["--strategy", "coefficients", "--benchmark", "digits", "--accept", "gt"], "belongs to --strategy greedy"),
        (["--metric", "loss"], "--metric belongs to --strategy greedy or coefficients, not uniform"),
        (["--benchmark", "digits"], "--benchmark belongs to --strategy greedy or learned or coefficients"),
    ],
)
def test_refusals(run, models, tmp_path, arguments, message):
    printed = run("soup", *models, "-o", tmp_path / "out", *arguments, code=2)
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_method_without_weights(models, benchmarks):
    recipe = Recipe(Merge("median", tuple(map(Model, models))))
    objective = Objective.prepare(read_benchmarks([benchmarks["select"]]), Settings())
    with pytest.raises(UsageError, match="median has no weights of the models"):
        search_coefficients(recipe, objective, lambda line: None)


def test_an_unknown_metric_is_one_error(run, models, benchmarks, tmp_path):
    arguments = ["--strategy", "coefficients", "--benchmark", benchmarks["select"], "--metric", "acuracy"]
    printed = run("soup", *models, "-o", tmp_path / "out", *arguments, code=2)
    assert "did you mean 'accuracy'?" in printed.err


def test_points_that_cannot_be_evaluated_are_passed_over_and_counted(run, models, benchmarks, tmp_path):
    broken = load_file(f"{models[1]}/model.safetensors")
    for name in broken:
        broken[name] = broken[name] * 1e30  # finite, but their products are not
    folder = shutil.copytree(models[1], tmp_path / "broken")
    save_file(broken, folder / "model.safetensors")
    found = search(run, [models[0], folder], tmp_path / "out", benchmarks["select"])
    assert found["points"][0]["accepted"]
    failures = [row for row in found["points"] if row["score"] is None]
    assert failures
    assert all("not finite" in row["failure"] for row in failures)


def test_a_command_has_the_flags_of_its_strategies_only():
    found = strategy_parameters(("coefficients",))
    assert set(found) == {"strategy", "benchmark", "metric"}
    assert strategy_parameters(()) == {}
    chosen = take_strategy({"strategy": "coefficients", "benchmark": ["b"], "metric": None}, ("coefficients",))
    assert (chosen.strategy, chosen.accept, chosen.by_tensor) == ("coefficients", None, False)
