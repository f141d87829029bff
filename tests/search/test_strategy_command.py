"""``merge soup --strategy``: what is selected, recorded, reported, resumed and refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from merge.cli import main
from merge.evaluation import evaluate


@pytest.fixture
def run(capsys):
    def call(*arguments, code=0):
        found = main([*map(str, arguments)])
        printed = capsys.readouterr()
        assert found == code, printed.err
        return printed

    return call


def soup(run, models, strategy, out, *more):
    return json.loads(run("soup", *models, "--strategy", strategy, "-o", out, "--json", *more).out)


def accuracy(model, benchmark):
    return evaluate([str(model)], [benchmark]).results[0]["value"]


def test_greedy_is_a_plain_soup_of_what_it_selected(run, models, benchmarks, tmp_path):
    out = tmp_path / "out"
    found = soup(run, models, "greedy", out, "--benchmark", benchmarks["select"])["greedy"]
    alone = {row["model"]: row["score"] for row in found["members"]}
    assert alone == {model: accuracy(model, benchmarks["select"]) for model in models}
    assert [row["rank"] for row in found["members"]] == [1, 2, 3]
    assert found["selected"][0] == max(models, key=lambda model: (alone[model], -models.index(model)))
    assert found["score"] >= max(alone.values())
    assert found["written"]["score"] == accuracy(out, benchmarks["select"])
    expected = [load_file(Path(model) / "model.safetensors") for model in found["selected"]]
    written = load_file(out / "model.safetensors")
    for name, tensor in written.items():
        mean = torch.stack([one[name].double() for one in expected]).mean(0)
        torch.testing.assert_close(tensor.double(), mean, rtol=1e-6, atol=1e-7)
    run("verify", out)


def test_candidates_are_the_averages_that_they_claim_to_be(run, models, benchmarks, tmp_path):
    found = soup(run, models, "greedy", tmp_path / "out", "--benchmark", benchmarks["select"])["greedy"]
    for number, step in enumerate(found["steps"]):
        run("soup", *step["members"], "-o", tmp_path / f"step{number}")
        assert step["score"] == accuracy(tmp_path / f"step{number}", benchmarks["select"])


def test_scores_are_kept_and_used_again(run, models, benchmarks, tmp_path):
    out, scores = tmp_path / "out", tmp_path / "out.scores.jsonl"
    first = soup(run, models, "greedy", out, "--benchmark", benchmarks["select"])["greedy"]
    lines = scores.read_text().splitlines()
    assert len(lines) == 5
    scores.write_text("\n".join(lines[:3]) + "\n" + lines[3][:20])  # cut off by a crash
    arguments = ["soup", *models, "--strategy", "greedy", "--benchmark", benchmarks["select"], "-o", out, "--force"]
    assert "3 scores were known" in run(*arguments).out
    assert "5 scores were known" in run(*arguments).out
    again = soup(run, models, "greedy", out, "--benchmark", benchmarks["select"], "--force")["greedy"]
    assert again == first
    other = soup(run, models, "greedy", out, "--benchmark", benchmarks["report"], "--force")["greedy"]
    assert other["members"] != first["members"]


def test_the_same_weights_under_two_names_are_said(run, models, benchmarks, tmp_path):
    import shutil

    twin = tmp_path / "twin"
    shutil.copytree(models[0], twin)
    printed = run(
        "soup", models[0], twin, "--strategy", "greedy", "--benchmark", benchmarks["select"], "-o", tmp_path / "o"
    )
    assert f"{twin} holds the same weights as {models[0]}" in printed.out


def test_one_model_alone_is_passed_through(run, models, benchmarks, tmp_path):
    out = tmp_path / "out"
    found = soup(run, models, "greedy", out, "--benchmark", benchmarks["select"], "--minimum-gain", "2")["greedy"]
    (best,) = found["selected"]
    original, written = (load_file(Path(folder) / "model.safetensors") for folder in (best, out))
    assert all(torch.equal(original[name], written[name]) for name in original)


@pytest.mark.parametrize("more", [[], ["--by-tensor"], ["--memory", "1"]])
def test_learned_weights_are_recorded_and_lower_the_loss(run, models, benchmarks, tmp_path, more):
    out = tmp_path / "out"
    settings = ["--benchmark", benchmarks["select"], "--batch-size", "16", "--epochs", "3"]
    found = soup(run, models, "learned", out, *settings, *more)["learned"]
    assert found["loss_after"] < found["loss_before"]
    assert len(found["history"]) == 6
    assert sum(row["weight"] for row in found["weights"]) == pytest.approx(1)
    run("verify", out)
    evaluation = evaluate([str(out)], [benchmarks["select"]])
    assert evaluation.results[1]["value"] == pytest.approx(found["loss_after"], rel=1e-5)
    if not more:
        weights = [row["weight"] for row in found["weights"]]
        tensors = [load_file(Path(model) / "model.safetensors")["classifier.weight"].double() for model in models]
        expected = sum(weight * tensor for weight, tensor in zip(weights, tensors, strict=True))
        written = load_file(out / "model.safetensors")["classifier.weight"]
        torch.testing.assert_close(written.double(), expected, rtol=1e-6, atol=1e-7)


def test_memory_decides_about_reads_and_nothing_else(run, models, benchmarks, tmp_path):
    settings = ["--benchmark", benchmarks["select"], "--epochs", "1"]
    files = []
    for number, memory in enumerate(("1", "10KB", "1GB")):
        run(
            "soup",
            *models,
            "--strategy",
            "learned",
            "-o",
            tmp_path / f"{number}.st",
            "--memory",
            memory,
            "--model",
            models[0],
            *settings,
        )
        files.append((tmp_path / f"{number}.st").read_bytes())
    assert files[0] == files[1] == files[2]


def test_gradient_against_finite_differences(models, benchmarks):
    from merge.evaluation.locate import locate
    from merge.evaluation.specification import read_benchmark
    from merge.evaluation.task import Settings

    task = read_benchmark(benchmarks["select"]).prepare(Settings())
    candidate = locate(models[0]).load()
    gradients = task.differentiate(candidate)
    items, name = np.arange(8), "classifier.bias"

    def loss(shift, temperature=1.0):
        tensors = dict(candidate.tensors)
        tensors[name] = tensors[name] + shift
        return gradients.step(tensors, items, temperature)

    value, slope, slope_of_temperature = loss(torch.zeros(3))
    for index in range(3):
        step = torch.zeros(3)
        step[index] = 0.01
        assert (loss(step)[0] - loss(-step)[0]) / 0.02 == pytest.approx(slope[name][index].item(), abs=1e-3)
    numeric = (loss(torch.zeros(3), 1.01)[0] - loss(torch.zeros(3), 0.99)[0]) / 0.02
    assert numeric == pytest.approx(slope_of_temperature, abs=1e-3)
    assert value == loss(torch.zeros(3))[0]


@pytest.mark.parametrize(("reported", "shared"), [("report", False), ("mixed", True), ("select", True)])
def test_reporting_on_the_data_of_the_selection_is_said(run, models, benchmarks, tmp_path, reported, shared):
    report = tmp_path / "report"
    arguments = ["--benchmark", benchmarks["select"], "--report-benchmark", benchmarks[reported], "--report", report]
    printed = run("soup", *models, "--strategy", "greedy", "-o", tmp_path / "out", *arguments)
    assert ("flatter" in printed.err) is shared
    found = json.loads((report / "results.json").read_text())
    assert found["greedy"]["same_data_as_report"] is shared
    assert {row["data_use"] for row in found["results"]} == {"held-out"}
    assert {row["benchmark"] for row in found["results"]} == {reported}


def test_data_use_travels_with_the_weights(run, models, benchmarks, tmp_path):
    run("soup", *models, "--strategy", "greedy", "--benchmark", benchmarks["select"], "-o", tmp_path / "out")
    run("soup", tmp_path / "out", models[0], "-o", tmp_path / "next")
    evaluation = evaluate([str(tmp_path / "next"), models[0]], [benchmarks["report"]])
    assert [row["data_use"] for row in evaluation.results if row["metric"] == "accuracy"] == ["held-out", "none"]
    assert "selected greedily on select" in (tmp_path / "out" / "README.md").read_text()


def test_a_dry_run_evaluates_and_writes_nothing(run, models, benchmarks, tmp_path):
    out = tmp_path / "out"
    printed = run("soup", *models, "--strategy", "greedy", "--benchmark", benchmarks["select"], "-o", out, "--dry-run")
    assert "up to 5 evaluations" in printed.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategy", "greedi"], "did you mean 'greedy'?"),
        (["--strategy", "greedy"], "needs held-out data"),
        (["--benchmark", "digits"], "--benchmark belongs to --strategy greedy or learned"),
        (["--accept", "gt"], "--accept belongs to --strategy greedy, not uniform"),
        (["--strategy", "greedy", "--benchmark", "digits", "--by-tensor"], "belongs to --strategy learned"),
        (["--strategy", "learned", "--benchmark", "digits", "--minimum-gain", "1"], "belongs to --strategy greedy"),
        (["--strategy", "greedy", "--benchmark", "digits", "--accept", "le"], "--accept must be ge or gt"),
        (["--strategy", "greedy", "--benchmark", "digits", "--weights", "1,2,3"], "finds the weights itself"),
        (["--strategy", "learned", "--benchmark", "digits", "--learning-rate", "0"], "must be above 0"),
        (["--strategy", "greedy", "--benchmark", "digit"], "no such benchmark file"),
    ],
)
def test_refusals(run, models, tmp_path, arguments, message):
    printed = run("soup", *models, "-o", tmp_path / "out", *arguments, code=2)
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_unknown_metric(run, models, benchmarks, tmp_path):
    arguments = ["--strategy", "greedy", "--benchmark", benchmarks["select"], "--metric", "acuracy"]
    printed = run("soup", *models, "-o", tmp_path / "out", *arguments, code=2)
    assert "did you mean 'accuracy'?" in printed.err


def test_going_by_the_loss(run, models, benchmarks, tmp_path):
    more = ["--benchmark", benchmarks["select"], "--metric", "loss"]
    found = soup(run, models, "greedy", tmp_path / "out", *more)["greedy"]
    scores = [row["score"] for row in found["members"]]
    assert scores == sorted(scores)
    assert (found["metric"], found["higher_is_better"]) == ("loss", False)
    assert found["score"] <= scores[0]


def test_a_foreign_file_of_scores_is_left_alone(run, models, benchmarks, tmp_path):
    scores = tmp_path / "notes.txt"
    scores.write_text("mine\n")
    arguments = ["--strategy", "greedy", "--benchmark", benchmarks["select"], "--scores", scores]
    printed = run("soup", *models, "-o", tmp_path / "out", *arguments, code=1)
    assert "holds something else than scores" in printed.err
    assert scores.read_text() == "mine\n"
