"""``merge atlas`` on the command line: what it writes, says and records."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from command_line import ROOT
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import merge
from merge.cli import main

GIVEN = ("atlas", "base", "--task-vectors", "one", "--task-vectors", "two", "--data", "learn.yaml")
QUICK = ("--epochs", "6", "--batch", "12", "--validation", "select.yaml")


@pytest.fixture
def run(at, capsys):
    def call(*words, code=0):
        assert main(words) == code, capsys.readouterr().err
        return capsys.readouterr()

    return call


def accuracy(run, model, benchmark):
    rows = json.loads(run("eval", model, "--benchmark", benchmark, "--json", "--quiet").out)["results"]
    return next(row["value"] for row in rows if row["metric"] == "accuracy")


def learning_of(path):
    with safe_open(path, "pt") as opened:
        return json.loads(opened.metadata()["about"])["learning"]


def test_it_learns_writes_and_can_be_verified(at, run):
    said = run(*GIVEN, *QUICK, "-o", "out")
    learning = learning_of("out.statistics/coefficients-1.safetensors")
    scores = {row["candidate"]: row["score"] for row in learning["trials"]}
    assert learning["best"].startswith("epoch")
    assert scores[learning["best"]] > max(score for name, score in scores.items() if name.startswith("uniform"))
    assert accuracy(run, "out", "select.yaml") == scores[learning["best"]]
    assert accuracy(run, "base", "select.yaml") == scores["zero"]
    assert f"chosen on select: {learning['best']}" in said.out
    assert "test inputs" not in said.out + said.err
    assert "scaled by learned coefficients" in said.out
    shutil.move("learn.npz", "gone.npz")
    assert "repeats" in run("verify", "out").out
    with safe_open("out/model.safetensors", "pt") as opened:
        assert opened.metadata()["merge.data_use"] == "held-out, labels"
    assert "coefficients by atlas (supervised" in (at / "out/README.md").read_text()


def test_the_files_merge_again_to_the_same_bytes(at, run):
    run(*GIVEN, *QUICK, "--partitions", "3", "-o", "out")
    files = [f"out.statistics/coefficients-{number}.safetensors" for number in (1, 2)]
    given = [word for file in files for word in ("--coefficients", file)]
    run("atlas", "base", "--task-vectors", "one,two", *given, "-o", "again", "--seed", "5")
    first, second = load_file("out/model.safetensors"), load_file("again/model.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert {tensor.shape for tensor in load_file(files[0]).values()} == {(3,)}
    said = run("atlas", "base", "--task-vectors", "two,one", *given, "-o", "other", code=1)
    assert "computed from another model" in said.err


def test_a_second_run_uses_what_is_there(at, run):
    run(*GIVEN, *QUICK, "-o", "out")
    before = (at / "out.statistics/coefficients-1.safetensors").read_bytes()
    said = run(*GIVEN, *QUICK, "-o", "out", "--force")
    assert "there already" in said.out
    assert "coefficients by atlas" in (at / "out/README.md").read_text()
    assert (at / "out.statistics/coefficients-1.safetensors").read_bytes() == before
    shutil.rmtree("out")
    said = run(*GIVEN, *QUICK, "-o", "out", "--learning-rate", "0.2", code=2)
    assert "other statistics stand there" in said.err
    assert not (at / "out").exists()


def test_coefficients_of_another_type_of_output_are_not_taken_for_these(at, run):
    run(*GIVEN, *QUICK, "-o", "out")
    said = run(*GIVEN, *QUICK, "-o", "out", "--force", "--dtype", "bfloat16")
    assert "there already" not in said.out
    learning = learning_of("out.statistics/coefficients-1.safetensors")
    best = next(row for row in learning["trials"] if row["candidate"] == learning["best"])
    assert accuracy(run, "out", "select.yaml") == best["score"]


def test_a_recipe(at, run):
    (at / "atlas.yaml").write_text(
        "merge: atlas\nbase: ./base\nmodels: [./one, ./two]\ndata: learn.yaml\n"
        "options: {epochs: 6, batch: 12, validation: select.yaml}\noutput: ./recipe-out\n"
    )
    run("run", "atlas.yaml")
    run(*GIVEN, *QUICK, "-o", "out")
    first, second = load_file("recipe-out/model.safetensors"), load_file("out/model.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)
    merge.merge("atlas.yaml", out="by-function")
    third = load_file("by-function/model.safetensors")
    assert all(torch.equal(first[name], third[name]) for name in first)


def test_streamed_models_and_shards_in_bfloat16(at, run):
    for name in ("base", "one", "two"):
        folder = at / f"{name}-16"
        folder.mkdir()
        tensors = {key: tensor.bfloat16() for key, tensor in load_file(f"{name}/model.safetensors").items()}
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        shutil.copy(at / name / "config.json", folder)
    given = ("base-16", "--task-vectors", "one-16,two-16", "--data", "learn.yaml", *QUICK, "--max-shard-size", "2KB")
    run("atlas", *given, "-o", "kept")
    run("atlas", *given, "--memory", "1", "-o", "streamed")
    kept, streamed = merge.load("kept"), merge.load("streamed")
    assert len(list((at / "kept").glob("*.safetensors"))) > 1
    assert {tensor.dtype for tensor in kept.values()} == {torch.bfloat16}
    assert all(torch.equal(kept[name], streamed[name]) for name in kept)
    learning = learning_of("kept.statistics/coefficients-1.safetensors")
    best = next(row for row in learning["trials"] if row["candidate"] == learning["best"])
    assert accuracy(run, "kept", "select.yaml") == best["score"]  # scored with the rounding of what is written


def test_without_validation_a_share_is_held_out(at, run):
    said = run(*GIVEN, "--epochs", "6", "--batch", "12", "--held-out", "0.25", "-o", "out")
    assert "held out to select by: 15 items of learn" in said.out
    about = learning_of("out.statistics/coefficients-1.safetensors")
    assert about["validation"] == [{"name": "learn", "number": 15}]


@pytest.mark.parametrize("preset", ["task-wise-adamerging", "layer-wise-adamerging"])
def test_adamerging_learns_without_labels_and_says_that_it_used_test_inputs(at, run, preset):
    given = ("atlas", "base", "--task-vectors", "one,two", "--data", "bare.yaml", "--preset", preset)
    more = ("--steps", "20", "--batch", "16", "--learning-rate", "0.05", "-o", "out", "--report", "report")
    said = run(*given, *more)
    assert "warning: test inputs were used: the coefficients were learned or selected on the split test" in said.err
    learning = learning_of("out.statistics/coefficients-2.safetensors")
    assert learning["metric"] == "entropy"
    assert len(learning["history"]) == 20
    values = load_file("out.statistics/coefficients-1.safetensors")
    assert all(0 <= value.item() <= 1 for value in values.values())
    distinct = {value.item() for value in values.values()}
    assert (len(distinct) == 1) is (preset == "task-wise-adamerging")
    for text in ((at / "out/README.md").read_text(), (at / "report/report.md").read_text()):
        assert "test inputs were used" in text
    with safe_open("out/model.safetensors", "pt") as opened:
        assert opened.metadata()["merge.data_use"] == "unlabeled"


def test_pseudo_labels(at, run):
    given = ("--objective", "pseudo-labels", "--threshold", "0.6", "--learning-rate", "0.05", "--epochs", "2")
    said = run(*GIVEN, *given, "--validation", "select.yaml", "-o", "out", "--allow-base")
    assert "chosen on select" in said.out
    learning = learning_of("out.statistics/coefficients-1.safetensors")
    assert learning["metric"] == "accuracy"
    assert len(learning["history"]) == 2


@pytest.mark.parametrize(("benchmark", "shared"), [("mixed", True), ("report", False)])
def test_items_shared_with_the_report_are_found_out(run, benchmark, shared):
    said = run(*GIVEN, *QUICK, "-o", "out", "--report-benchmark", f"{benchmark}.yaml", "--report", "report")
    assert ("found with items of mixed" in said.err) is shared


SEEN = [
    (("--data", "learn.yaml", "--validation", "learn.yaml"), 60, 60, "labels"),
    (("--data", "select.yaml", "--validation", "mixed.yaml"), 30, 60, "labels"),
    (("--data", "select.yaml", "--data", "mixed.yaml"), 10, 24, "labels"),
    (("--data", "learn.yaml", "--validation", "select.yaml"), 0, 60, "held-out, labels"),
    (("--data", "learn.yaml"), 0, 12, "held-out, labels"),
]


@pytest.mark.parametrize(("given", "seen", "total", "use"), SEEN)
def test_items_that_select_and_teach_are_told_everywhere(at, run, given, seen, total, use):
    more = ("--epochs", "1", "--allow-base", "-o", "out", "--report", "report")
    said = run("atlas", "base", "--task-vectors", "one,two", *given, *more)
    again = run("atlas", "base", "--task-vectors", "one,two", *given, *more, "--force")
    learning = learning_of("out.statistics/coefficients-1.safetensors")
    assert (learning["seen"], sum(one["number"] for one in learning["validation"])) == (seen, total)
    told = f"{seen} of the {total} items that selected the coefficients were learned from too"
    for text in (said.err, again.err, (at / "out/README.md").read_text()):
        assert (told in text) is bool(seen)
    assert ("of which were learned from too" in (at / "report/report.md").read_text()) is bool(seen)
    with safe_open("out/model.safetensors", "pt") as opened:
        assert opened.metadata()["merge.data_use"] == use


def test_the_report_shows_candidates_and_coefficients(at, run):
    run(*GIVEN, *QUICK, "-o", "out", "--report", "report", "--partitions", "2")
    text = (at / "report/report.md").read_text()
    assert "## Learned scaling of task vectors" in text
    assert "uniform 0.05" in text
    assert "classifier.weight" in text
    assert "model 1" in text


def test_json_is_one_document(run):
    said = run(*GIVEN, *QUICK, "-o", "out", "--json")
    found = json.loads(said.out)
    assert found["statistics"]["files"][1]["about"]["learning"]["best"]
    assert found["statistics"]["counts"] == {"scaled by learned coefficients": len(found["statistics"]["tensors"])}


def test_a_dry_run_reads_headers_only(at, run):
    said = run(*GIVEN, "-o", "out", "--dry-run")
    assert "to be computed: coefficients of one from learn.yaml" in said.out
    assert sorted(path.name for path in at.iterdir() if path.name.startswith("out")) == []


def test_quiet_says_nothing(run):
    said = run(*GIVEN, *QUICK, "-o", "out", "--quiet")
    assert said.out == said.err == ""


def test_the_shipped_recipe_runs(at, run):
    for name, model in (("a", "one"), ("b", "two")):
        (at / name).symlink_to(at / model)
    (at / "tasks").mkdir()
    shutil.copy(at / "learn.npz", at / "tasks")
    shutil.copy(at / "learn.yaml", at / "tasks" / "a.yaml")
    shutil.copy(ROOT / "recipes" / "atlas.yaml", at)
    run("run", "atlas.yaml")
    assert load_file("atlas.st").keys() == load_file("base/model.safetensors").keys()
    assert "repeats" in run("verify", "atlas.st").out


def test_the_commented_recipe_runs(at, run, capsys):
    text = run("new", "atlas").out
    given = text.replace("./tuned-1", "./one").replace("./tuned-2", "./two").replace("./data-1.yaml", "learn.yaml")
    (at / "new.yaml").write_text(given.replace("./data-2.yaml", "select.yaml"))
    said = run("run", "new.yaml")
    assert "held out to select by: 12 items of learn, 12 items of select" in said.out
