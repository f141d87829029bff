"""``merge search`` as a user runs it, on tiny classifiers; and ranges of ``--set`` on both commands."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from checkpoint_files import assert_same, load, save
from command_line import ROOT, assert_refused, run
from ruamel.yaml import YAML

TEXT = """# How much of each.
merge: soup
models:
  - {model: m1, weight: {search: [0, 1]}}   # the first
  - {model: m2, weight: {search: [0, 1]}}
output: merged
"""


@pytest.fixture
def work(here, models):
    for model in models:
        shutil.copytree(model, here / model.rsplit("/", 1)[-1])
    (here / "r.yaml").write_text(TEXT)
    return here


@pytest.fixture
def search(cli, benchmarks):
    def call(*more, select="select"):
        return cli("search", "r.yaml", "--benchmark", benchmarks[select], *more)

    return call


def section(result):
    assert result.code == 0, result.err
    return json.loads(result.out)["search"]


def plain(found):
    return {key: value for key, value in found.items() if key != "recipe"}


def test_the_recipe_that_is_found_gives_the_score_that_was_found(work, search, cli, benchmarks):
    found = section(search("--trials", 12, "--json"))
    assert [found["sampler"], found["parameters"]] == ["cma", ["models.0.weight", "models.1.weight"]]
    assert len(found["trials"]) == 12
    scores = [trial["score"] for trial in found["trials"]]
    best = found["trials"][scores.index(max(scores))]
    assert found["best"]["score"] == max(scores)
    assert found["best"]["values"] == best["values"]
    assert [trial["number"] for trial in found["trials"] if trial["accepted"]] == [best["number"]]
    text = (work / "r-best.yaml").read_text()
    assert "# How much of each." in text
    assert "# the first" in text
    assert YAML(typ="safe").load(text)["output"] == "merged"
    evaluated = json.loads(cli("eval", "r-best.yaml", "--benchmark", benchmarks["select"], "--json").out)
    assert evaluated["results"][0]["value"] == found["best"]["score"]
    assert not (work / "merged").exists()


def test_merge_and_report(work, search, cli, benchmarks):
    more = ["--trials", 8, "--metric", "loss", "--report-benchmark", benchmarks["report"]]
    result = search(*more, "-o", "out", "--report", "report")
    assert result.code == 0, result.err
    report = json.loads((work / "report" / "results.json").read_text())
    found = report["search"]
    assert (found["metric"], found["higher_is_better"], found["same_data_as_report"]) == ("loss", False, False)
    assert found["best"]["score"] == min(trial["score"] for trial in found["trials"])
    assert found["written"]["score"] == pytest.approx(found["best"]["score"], abs=1e-6)
    assert {row["benchmark"] for row in report["results"]} == {"report"}
    assert {row["data_use"] for row in report["results"]} == {"held-out"}
    assert "options found on held-out data by 8 trials" in (work / "out" / "README.md").read_text()
    weights = [model.options["weight"] for model in read("r-best.yaml").merge.models]
    assert [row["weight"] for row in report["weights"]] == weights == list(found["best"]["values"].values())
    assert cli("verify", "out").code == 0


def read(path):
    from pathlib import Path

    from merge.grammar import read_recipe

    return read_recipe(Path(path))


def test_without_an_output_the_recipe_is_evaluated_in_memory(work, search, benchmarks):
    result = search("--trials", 3, "--report-benchmark", benchmarks["mixed"], "--report", "report", "--json")
    document = json.loads(result.out)
    assert document["search"]["same_data_as_report"] is True
    assert "will flatter" in result.err
    assert document["evaluation"]["results"][0]["model"] == "r-best.yaml"
    assert {row["data_use"] for row in document["evaluation"]["results"]} == {"held-out"}
    assert "same data" in (work / "report" / "report.md").read_text()


def test_several_benchmarks_have_a_mean_and_a_front(work, search, benchmarks):
    found = section(search("--benchmark", benchmarks["report"], "--trials", 9, "--sampler", "grid", "--json"))
    for trial in found["trials"]:
        assert trial["score"] == pytest.approx(sum(trial["scores"].values()) / 2) or trial["failure"]
    assert found["pareto"]
    assert set(found["pareto"]) <= {trial["number"] for trial in found["trials"] if trial["score"] is not None}
    assert found["benchmark"] == "select, report"
    again = search("--benchmark", benchmarks["report"], "--trials", 9, "--sampler", "grid", "--force")
    assert "Pareto front" in again.out
    assert "9 of 9 trials were known" in again.out or "8 of 9 trials were known" in again.out


def test_a_longer_search_goes_on_where_a_shorter_one_ended(work, search):
    whole = section(search("--trials", 10, "--json", "--trials-file", "whole.jsonl", "--recipe-out", "whole.yaml"))
    search("--trials", 5)
    kept = (work / "r.trials.jsonl").read_bytes()
    found = section(search("--trials", 10, "--json", "--force"))
    assert plain(found) == plain(whole)
    assert (work / "r.trials.jsonl").read_bytes().startswith(kept)
    assert (work / "r.trials.jsonl").read_bytes() == (work / "whole.jsonl").read_bytes()


@pytest.mark.slow
def test_processes_change_nothing(work, search, benchmarks):
    alone = section(search("--trials", 8, "--metric", "loss", "--json", "--trials-file", "alone.jsonl"))
    more = ["--benchmark", benchmarks["select"], "--metric", "loss", "--trials", 8, "--json", "--force"]
    result = run("search", "r.yaml", *more, "--processes", 2, "--trials-file", "two.jsonl", cwd=work)
    assert result.code == 0, result.err
    assert json.loads(result.out)["search"] == alone
    assert (work / "two.jsonl").read_bytes() == (work / "alone.jsonl").read_bytes()


def test_outputs_that_are_not_finite_are_failed_trials(work, search):
    huge = ["--set", "models.0.weight={search: [0.1, 1e39], log: true}", "--set", "models.1.weight=1"]
    result = search(*huge, "--trials", 9, "--json")
    found = section(result)
    failed = [trial for trial in found["trials"] if "failure" in trial]
    assert 0 < len(failed) < 9
    assert all(trial["score"] is None and set(trial["scores"].values()) == {None} for trial in failed)
    assert f"{len(failed)} of 9 trials failed; trial {failed[0]['number']}: " in result.err
    nothing = ["--set", "models.0.weight={search: [1e38, 1e39]}", "--recipe-out", "n.yaml", "--trials", 9]
    assert_refused(search(*huge[2:], *nothing), 1, "models.0.weight=1e+38", "not finite")
    assert not (work / "n.yaml").exists()


def test_paths_in_a_recipe_that_is_written_elsewhere(work, search, cli):
    (work / "r.yaml").write_text(
        "merge: soup\nbase: m3\nmodels:\n  - {model: m1, weight: {search: [0, 1]}}\n"
        "  - {merge: soup, models: [m2, m3]}\noutput: {path: merged}\nevaluate: [digits]\nreport: rep\n"
    )
    (work / "deep" / "er").mkdir(parents=True)
    result = search("--trials", 2, "--recipe-out", "deep/er/found.yaml", "--set", "evaluate=[]")
    assert result.code == 0, result.err
    found = YAML(typ="safe").load((work / "deep/er/found.yaml").read_text())
    assert (found["base"], found["models"][0]["model"]) == ("../../m3", "../../m1")
    assert found["models"][1]["models"] == ["../../m2", "../../m3"]
    assert (found["output"]["path"], found["report"], found["evaluate"]) == ("../../merged", "../../rep", [])
    assert cli("run", "deep/er/found.yaml", "--dry-run").code == 0


def test_dry_run_reads_and_writes_nothing(work, search):
    before = sorted(work.iterdir())
    result = search("--dry-run", "--trials", 7)
    assert result.code == 0, result.err
    assert "models.0.weight  {search: [0, 1]}" in result.out
    assert "7 trials by cma" in result.out
    assert json.loads(search("--dry-run", "--json").out)["trials"] == 50
    assert sorted(work.iterdir()) == before


CASES = {
    "no held-out data": (["r.yaml"], 2, "--benchmark"),
    "several recipes": (["r.yaml", "r.yaml", "B"], 2, "one recipe, 2 are given"),
    "no trials": (["r.yaml", "B", "--trials", "0"], 2, "--trials"),
    "a sampler": (["r.yaml", "B", "--sampler", "gird"], 2, "did you mean 'grid'?"),
    "a sampler for one option": (["r.yaml", "B", "--sampler", "refine"], 2, "2 are marked"),
    "a benchmark": (["r.yaml", "--benchmark", "digits-selct"], 2, "did you mean 'digits-select'?"),
    "a metric": (["r.yaml", "B", "--metric", "acuracy"], 2, "did you mean 'accuracy'?"),
    "a report benchmark": (["r.yaml", "B", "--report-benchmark", "nope"], 2, "no such benchmark file"),
    "nothing marked": (["plain.yaml", "B"], 2, "no option of the recipe is marked"),
    "a model that is not there": (["r.yaml", "B", "--set", "models.0.model=nope"], 2, "nope"),
    "a recipe in the way": (["r.yaml", "B", "--recipe-out", "plain.yaml"], 2, "plain.yaml: the file for the found"),
    "the recipe itself": (["r.yaml", "B", "--recipe-out", "r.yaml", "--force"], 2, "r.yaml: the file for the found"),
    "no folder for the recipe": (["r.yaml", "B", "--recipe-out", "no/r.yaml"], 1, "is not there"),
    "another file for the trials": (["r.yaml", "B", "--trials-file", "plain.yaml"], 1, "something else than trials"),
    "an output in the way": (["r.yaml", "B", "-o", "plain.yaml"], 2, "plain.yaml"),
    "a folder of others": (["r.yaml", "B", "--report", "m1"], 2, "m1"),
    "a device": (["r.yaml", "B", "--device", "gpu"], 2, "--device"),
}


@pytest.mark.parametrize("case", CASES)
def test_refusals(work, cli, benchmarks, case):
    (work / "plain.yaml").write_text("merge: soup\nmodels: [m1, m2]\n")
    before = sorted(work.rglob("*"))
    arguments, code, message = CASES[case]
    given = [part for word in arguments for part in (["--benchmark", benchmarks["select"]] if word == "B" else [word])]
    assert_refused(cli("search", *given), code, message)
    assert sorted(work.rglob("*")) == before


def test_other_commands_refuse_open_options(work, cli, benchmarks):
    place = "r.yaml:4:17: 'weight' is marked for search (run `merge search`"
    assert_refused(cli("run", "r.yaml", "-o", "out"), 2, place)
    assert_refused(cli("eval", "r.yaml", "--benchmark", benchmarks["select"]), 2, place)
    (work / "s.yaml").write_text(TEXT.replace("[0, 1]", "[0, a]"))
    assert_refused(cli("run", "s.yaml", "-o", "out"), 2, "s.yaml:4:17", "not 'a'")


def test_a_range_of_set_is_a_grid_of_trials(work, search):
    settings = ["--set", "models.0.weight=0:1:0.5", "--set", "models.1.weight=0.25"]
    found = section(search(*settings, "--json"))
    assert (found["sampler"], found["parameters"]) == ("grid", ["models.0.weight"])
    assert [trial["values"]["models.0.weight"] for trial in found["trials"]] == [0, 0.5, 1]


@pytest.fixture
def pair(here):
    save(here / "base.st", {"w": torch.zeros(4)})
    save(here / "tuned.st", {"w": torch.tensor([1.0, 2.0, 3.0, 4.0])})
    text = "merge: task-arithmetic\nbase: base.st\nmodels: [{model: tuned.st, weight: 1}]\noutput: curve.st\n"
    (here / "t.yaml").write_text(text)
    return here


def first(folder):
    return {path.name: load(path)["w"][0].item() for path in sorted(folder.glob("curve*.st"))}


@pytest.mark.parametrize("name", ["scale", "options.scale"])
def test_a_range_of_set_gives_one_output_each(pair, cli, name):
    result = cli("run", "t.yaml", "--set", f"{name}=0:1:0.5")
    assert result.code == 0, result.err
    assert first(pair) == {"curve-scale-0.0.st": 0, "curve-scale-0.5.st": 0.5, "curve-scale-1.0.st": 1}
    assert cli("run", "t.yaml", "--set", "options.scale=0.5", "-o", "one.st").code == 0
    assert_same(load(pair / "one.st"), load(pair / "curve-scale-0.5.st"))


def test_two_ranges_give_every_combination(pair, cli):
    result = cli("run", "t.yaml", "--set", "scale=1,2", "--set", "models.0.weight=0.5:1.5:1")
    assert result.code == 0, result.err
    names = [f"curve-scale-{scale}-models-0-weight-{weight}.st" for scale in (1, 2) for weight in (0.5, 1.5)]
    assert first(pair) == dict(zip(names, (0.5, 1.5, 1, 3), strict=True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["scale=1:0:0.1"], "must give 1 to"),
        (["scale=1,1"], "different"),
        (["scael=0:1:0.5"], "did you mean 'scale'?"),
        (["scale=0:1:0.002", "models.0.weight=0:1:0.1"], "asks for 5511 outputs"),
        (["seed=0:2:1"], "seed must be"),
        (["models.1.weight=0,1"], "there is no '1'"),
    ],
)
def test_ranges_that_are_refused(pair, cli, settings, message):
    given = [part for setting in settings for part in ("--set", setting)]
    assert_refused(cli("run", "t.yaml", *given), 2, message)
    assert first(pair) == {}


def test_ranges_take_one_document_and_check_all_outputs_first(pair, cli):
    assert_refused(cli("run", "t.yaml", "--set", "scale=0,1", "--json"), 2, "--json")
    (pair / "curve-scale-1.st").write_text("mine")
    assert_refused(cli("run", "t.yaml", "--set", "scale=0,1"), 2, "curve-scale-1.st")
    assert sorted(path.name for path in pair.glob("curve*")) == ["curve-scale-1.st"]


def test_the_schema_knows_open_options(cli):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(cli("schema").out)
    jsonschema.validate(YAML(typ="safe").load((ROOT / "recipes" / "search.yaml").read_text()), schema)
    jsonschema.validate(YAML(typ="safe").load(TEXT), schema)
    for wrong in ("{search: 1}", "{search: [0, 1, 2]}", "{search: [0, 1], lgo: true}"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(YAML(typ="safe").load(TEXT.replace("{search: [0, 1]}", wrong)), schema)


def test_the_shipped_recipe(work, cli, benchmarks):
    for number, name in enumerate(("base", "tuned-1", "tuned-2", "tuned-3")):
        shutil.copytree(work / f"m{max(number, 1)}", work / name)
    shutil.copy(ROOT / "recipes" / "search.yaml", work)
    result = cli("search", "search.yaml", "--benchmark", benchmarks["select"], "--trials", 9, "--json")
    assert len(section(result)["parameters"]) == 4
    assert cli("run", "search-best.yaml", "-o", "out").code == 0
