"""``merge rebasin --matching straight-through``, and recipes that align so, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from checkpoint_files import load, save
from command_line import ROOT, assert_refused
from own_class import PERCEPTRON, state

from merge.schema import SCHEMAS

MODEL = ("--model", "model.py:Network")
BY_GRADIENTS = ("--matching", "straight-through", "--data", "train.yaml", "--steps", "6", *MODEL)


@pytest.fixture
def models(here: Path) -> Path:
    """Three models of random weights, and images with labels and without."""
    for seed, name in enumerate("abc"):
        save(here / f"{name}.st", state(seed))
    (here / "model.py").write_text(PERCEPTRON)
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(here / "train.npz", images=images, labels=np.arange(40) % 10)
    np.savez(here / "bare.npz", images=images)
    (here / "train.yaml").write_text("name: train\nkind: classification\ndata: {path: train.npz}\n")
    return here


def test_what_was_found_is_told_everywhere(models, cli):
    result = cli("rebasin", "a.st", "b.st", *BY_GRADIENTS, "-o", "out.st", "--report", "report", "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    jsonschema.validate(document, SCHEMAS["merge"]())
    about = document["alignments"][0]["about"]
    found = about["gradients"]
    assert about["matching"] == "straight-through"
    assert (found["data"], found["items"], len(found["history"])) == ("train", 40, 6)
    assert found["found"] == min([found["as_it_is"], found["by_weights"], *found["history"]])
    report = (models / "report" / "report.md").read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert f"{found['as_it_is']:.4g} before, {found['by_weights']:.4g} by weights" in report
    assert json.loads((models / "report" / "results.json").read_text())["merge"]["data_use"] == "labels"
    assert "merge.data_use: labels" in cli("inspect", "out.st").out
    (models / "train.npz").unlink()
    assert cli("verify", "out.st").code == 0, "from the kept orders, without the data"


@pytest.mark.parametrize(("first", "is_shared"), [(0, True), (40, False)])
def test_items_shared_with_the_report_are_found_out(models, cli, first, is_shared):
    images = np.random.default_rng(0).integers(0, 256, (80, 8, 8), dtype=np.uint8)[first : first + 40]
    np.savez(models / "test.npz", images=images, labels=np.arange(40) % 10)
    (models / "test.yaml").write_text(
        "name: test\nkind: classification\ndata: {path: test.npz}\nmodel: model.py:Network\n"
    )
    told = "test inputs were used: the orders of units were found with items of test"
    for _ in range(2):  # the second time with the orders that are there
        more = ("--report", "report", "--report-benchmark", "test.yaml", "--force")
        result = cli("rebasin", "a.st", "b.st", *BY_GRADIENTS, *more, "-o", "out.st")
        assert result.code == 0, result.err
        assert (told in result.err) is is_shared
        assert (told in (models / "report" / "report.md").read_text("utf-8")) is is_shared


def test_orders_alone_are_the_same_and_say_what_they_were_found_with(models, cli):
    assert cli("rebasin", "a.st", "b.st", *BY_GRADIENTS, "-o", "out.st").code == 0
    result = cli("rebasin", "a.st", "b.st", *BY_GRADIENTS, "--emit", "permutations", "-o", "p.st", "--json")
    assert json.loads(result.out)["gradients"]["items"] == 40
    assert (models / "p.st").read_bytes() == next((models / "out.st.statistics").iterdir()).read_bytes()
    assert cli("rebasin", "a.st", "b.st", "--permutations", "p.st", "-o", "applied.st").code == 0
    assert "merge.data_use: labels" in cli("inspect", "applied.st").out
    applied, wanted = load(models / "applied.st"), load(models / "out.st")
    assert all(torch.equal(applied[name], wanted[name]) for name in wanted)


def test_activations_are_recorded_as_unlabeled(models, cli):
    result = cli("rebasin", "a.st", "b.st", "--matching", "activations", "--data", "bare.npz", *MODEL, "-o", "out.st")
    assert result.code == 0, result.err
    assert "merge.data_use: unlabeled" in cli("inspect", "out.st").out
    assert cli("rebasin", "a.st", "b.st", "-o", "plain.st").code == 0
    assert "data_use" not in cli("inspect", "plain.st").out


def test_several_models_are_each_matched_to_the_first(models, cli):
    assert cli("rebasin", "a.st", "b.st", "c.st", *BY_GRADIENTS, "-o", "three.st").code == 0
    assert cli("rebasin", "a.st", "c.st", *BY_GRADIENTS, "-o", "two.st").code == 0
    first = load(models / "three.st.statistics" / "permutations-3.safetensors")
    second = load(models / "two.st.statistics" / "permutations-2.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_orders_of_an_earlier_run_are_used_again_unless_it_was_another(models, cli):
    assert cli("rebasin", "a.st", "b.st", *BY_GRADIENTS, "-o", "out.st").code == 0
    (models / "out.st").unlink()
    result = cli("rebasin", "a.st", "b.st", *BY_GRADIENTS, "-o", "out.st")
    assert "the orders are there already" in result.out + result.err
    (models / "out.st").unlink()
    other = cli("rebasin", "a.st", "b.st", *BY_GRADIENTS, "--learning-rate", "0.1", "-o", "out.st", "--quiet")
    assert_refused(other, 2, "other orders stand there")


def test_the_shipped_recipe_runs(models, cli):
    text = (ROOT / "recipes" / "rebasin-straight-through.yaml").read_text()
    (models / "r.yaml").write_text(text.replace("steps: 100", "steps: 6"))
    dry = cli("run", "r.yaml", *MODEL, "--dry-run")
    assert "order of units of ./b.st from ./train.yaml" in dry.out + dry.err
    result = cli("run", "r.yaml", *MODEL)
    assert result.code == 0, result.err
    assert cli("rebasin", "a.st", "b.st", *BY_GRADIENTS, "-o", "flags.st").code == 0
    found, wanted = load(models / "rebasin-straight-through.st"), load(models / "flags.st")
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_half_precision_is_matched_and_merged(models, cli):
    for name in "ab":
        save(models / f"{name}16.st", {key: value.bfloat16() for key, value in load(models / f"{name}.st").items()})
    result = cli("rebasin", "a16.st", "b16.st", *BY_GRADIENTS, "-o", "out.st")
    assert result.code == 0, result.err
    assert load(models / "out.st")["fc1.weight"].dtype == torch.bfloat16


GRADIENTS = ("a.st", "b.st", "--matching", "straight-through")
LABELLED = (*GRADIENTS, "--data", "train.yaml")
REFUSED = {
    "no data": (GRADIENTS, 2, "matching by straight-through needs data"),
    "no labels": ((*GRADIENTS, "--data", "bare.npz", *MODEL), 2, "has no labels", "--matching activations"),
    "no model": (LABELLED, 2, "--model"),
    "a task of a harness": ((*GRADIENTS, "--data", "harness.yaml", *MODEL), 2, "gives no data for calibration"),
    "a mean": ((*LABELLED, "c.st", "--many", "mean"), 2, "'many' of mean is for matching by weights"),
    "a metric": (
        (*LABELLED, "--metric", "inner"),
        2,
        "is for matching by activations, and this is by straight-through",
    ),
    "steps of weights": (("a.st", "b.st", "--steps", "5"), 2, "is for matching by straight-through"),
    "restarts of activations": (
        ("a.st", "b.st", "--matching", "activations", "--data", "bare.npz", "--restarts", "2"),
        2,
        "is for matching by weights or straight-through",
    ),
    "no step": ((*LABELLED, "--steps", "0"), 2, "steps must be >= 1"),
    "no rate": ((*LABELLED, "--learning-rate", "0"), 2, "learning_rate must be > 0"),
    "labels of other classes": ((*GRADIENTS, "--data", "other.npz", *MODEL), 1, "the label 77, and the model has 10"),
    "a misspelt word": (("a.st", "b.st", "--matching", "straight-trough"), 2, "did you mean 'straight-through'?"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(models, cli, case):
    np.savez(models / "other.npz", images=np.zeros((3, 8, 8), np.uint8), labels=np.array([0, 77, 1]))
    (models / "harness.yaml").write_text("name: x\nkind: lm-eval\ntasks: [piqa]\n")
    arguments, code, *words = REFUSED[case]
    assert_refused(cli("rebasin", *arguments, "-o", "out.st", "--quiet"), code, *words)
    assert not (models / "out.st").exists()
