"""``merge eval --workers``: the rows of one process, whatever the models and benchmarks, and what goes wrong."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
import torch
from checkpoint_files import load, save
from command_line import assert_refused, contents
from odd_benchmarks import Odd

from merge.distributed.spreading import Spreading
from merge.evaluation import device, evaluate, run, side_by_side

TWO = Spreading(workers=2)
pytestmark = pytest.mark.slow
BENCHMARKS = ("--benchmark", "first.yaml", "--benchmark", "second.yaml")


def rows(evaluation):
    """Return all but the times."""
    document = evaluation.as_json() if not isinstance(evaluation, dict) else evaluation
    return {name: value for name, value in document.items() if name != "timings"}


@pytest.mark.parametrize("more", [(), ("--ensemble", "logits"), ("--expert", "second=three")])
def test_the_same_rows_as_one_process(cli, classifiers_here, more):
    found = []
    for flags in ((), ("--workers", 2)):
        result = cli("eval", "one", "two", *BENCHMARKS, *more, *flags, "--threads", 1, "--json", "--quiet")
        assert result.code == 0, result.err
        found.append(json.loads(result.out))
    assert rows(found[0]) == rows(found[1])
    assert len(found[1]["comparisons"]) >= 2
    assert [(row["model"], row["benchmark"]) for row in found[0]["timings"]] == [
        (row["model"], row["benchmark"]) for row in found[1]["timings"]
    ]


def test_recipes_and_bundles_too(cli, classifiers_here):
    (classifiers_here / "soup.yaml").write_text("merge: soup\nmodels: [one, two]\noutput: merged\n")
    assert cli("moe", "one", "two", "-o", "bundle").code == 0
    models, benchmarks = ["soup.yaml", "bundle", "one"], ["first.yaml", "second.yaml"]
    alone = evaluate(models, benchmarks, report=Path("report-1"))
    assert rows(evaluate(models, benchmarks, report=Path("report-2"), spreading=TWO)) == rows(alone)
    assert not (classifiers_here / "merged").exists()
    assert set(contents(classifiers_here / "report-1")) == set(contents(classifiers_here / "report-2"))


def test_what_a_worker_finds_wrong(cli, classifiers_here):
    state = load(classifiers_here / "one" / "model.safetensors")
    state["classifier.weight"] = torch.full_like(state["classifier.weight"], float("nan"))
    (classifiers_here / "bad").mkdir()
    save(classifiers_here / "bad" / "model.safetensors", state)
    (classifiers_here / "bad" / "config.json").write_bytes((classifiers_here / "one" / "config.json").read_bytes())
    alone = cli("eval", "one", "bad", *BENCHMARKS)
    assert_refused(alone, 1, "bad")
    spread = cli("eval", "one", "bad", *BENCHMARKS, "--workers", 2, "--threads", 1)
    assert_refused(spread, 1)
    assert spread.err == alone.err


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_killed_worker_is_replaced(classifiers_here, monkeypatch):
    odd = [Odd("a", classifiers_here / "died"), Odd("b")]
    monkeypatch.setattr(run, "read_benchmarks", lambda names: odd)
    found = evaluate(["one", "two"], ["a", "b"], spreading=TWO)
    assert (classifiers_here / "died").exists()
    assert rows(found) == rows(evaluate(["one", "two"], ["a", "b"]))


def test_files_that_benchmarks_make_are_brought_home(classifiers_here, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(classifiers_here / "temporary"))
    (classifiers_here / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(classifiers_here / "temporary"))
    monkeypatch.setattr(run, "read_benchmarks", lambda names: [Odd("a"), Odd("b")])
    evaluate(["one", "two"], ["a", "b"], spreading=TWO, report=Path("report"))
    files = {path for path in contents(Path("report") / "lm-eval") if path.endswith(".json")}
    assert files == {f"{model}/results_{name}.json" for model in ("one", "two") for name in "ab"}
    assert contents(classifiers_here / "temporary") == {}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--engine", "rai"), ("--engine must be local or ray, not 'rai'", "did you mean 'ray'?")),
        (("--address", "auto"), ("--address is that of a Ray cluster", "--engine ray")),
    ],
)
def test_flags_that_make_no_sense(cli, classifiers_here, flags, words):
    assert_refused(cli("eval", "one", *BENCHMARKS, *flags), 2, *words)


def test_several_gpus_are_dealt_out(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    for process, wanted in ((8, "cuda:0"), (11, "cuda:3")):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        assert device.own_device("auto") == wanted
        assert device.own_device("cuda:1") == "cuda:1"
        assert device.own_device("cpu") == "cpu"


def test_torch_threads_are_set_and_put_back(classifiers_here, monkeypatch):
    seen, real = [], side_by_side.assess

    def assess(*arguments, **more):
        seen.append(torch.get_num_threads())
        return real(*arguments, **more)

    monkeypatch.setattr(side_by_side, "assess", assess)
    evaluate(["one"], ["first.yaml"], threads=3)
    assert (seen, torch.get_num_threads()) == ([3], 1)
