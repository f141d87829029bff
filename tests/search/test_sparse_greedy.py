"""``merge sparse-soup --strategy greedy`` and ``--reset-data``: first the masks, then statistics, then scores."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_files import load, save
from command_line import assert_refused

sys.path.append(str(Path(__file__).parents[1] / "after"))
MODEL = ("--model", "networks.py:Normed")
GREEDY = ("--strategy", "greedy", "--benchmark", "test.yaml", "--metric", "loss", "--batch-size", 60)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three sparse networks of one mask, ``s1`` to ``s3``, a dense one, and ones without BatchNorm."""
    from small_networks import MODEL_FILE, Normed, Plain, made, pixels, write

    monkeypatch.chdir(tmp_path)
    (tmp_path / "networks.py").write_text(MODEL_FILE)
    mask = {name: torch.rand(one.shape) < 0.5 for name, one in made(Normed, 0).state_dict().items() if one.dim() > 1}
    for seed in (1, 2, 3):
        state = load(write(made(Normed, seed), tmp_path / "dense.st"))
        save(tmp_path / f"s{seed}.st", state | {name: (state[name] * kept).contiguous() for name, kept in mask.items()})
        write(made(Plain, seed), tmp_path / f"p{seed}.st")
    for name, seed in (("calibration", 0), ("test", 1)):
        images = (pixels(60, seed)[:, 0] * 255).byte().numpy()
        np.savez(tmp_path / f"{name}.npz", images=images, labels=np.arange(60) % 10)
    (tmp_path / "test.yaml").write_text("name: test\nkind: classification\ndata: {path: test.npz}\n")
    return tmp_path


def greedy(cli: Any, *more: object, models: tuple[str, ...] = ("s1.st", "s2.st", "s3.st"), out: str = "out.st") -> Any:
    return cli("sparse-soup", *models, *GREEDY, *MODEL, "-o", out, *more)


def loss(cli: Any, model: str) -> float:
    found = json.loads(cli("eval", model, "--benchmark", "test.yaml", *MODEL, "--batch-size", 60, "--json").out)
    return next(row["value"] for row in found["results"] if row["metric"] == "loss")


def test_the_selected_members_are_a_sparse_soup(cli, here):
    result = greedy(cli, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)["greedy"]
    assert found["members"][0]["score"] == pytest.approx(min(loss(cli, f"s{number}.st") for number in (1, 2, 3)))
    written = load(here / "out.st")
    members = [load(here / name) for name in found["selected"]]
    for name in ("conv1.weight", "head.weight"):
        assert torch.equal(written[name] == 0, members[0][name] == 0)
        torch.testing.assert_close(written[name], sum(one[name] for one in members) / len(members))
    assert cli("verify", "out.st").code == 0


def test_unlike_masks_are_refused_before_anything_is_evaluated(cli, here, monkeypatch):
    monkeypatch.setattr("merge.search.objective.Objective.score", lambda *_: pytest.fail("evaluated"))
    refused = greedy(cli, models=("s1.st", "dense.st", "s2.st"))
    assert_refused(refused, 1, "most of them in 'conv2.weight'", "model 2 is not pruned", "--no-require-same-mask")
    assert not list(here.glob("out*"))
    monkeypatch.undo()
    monkeypatch.chdir(here)
    allowed = greedy(cli, "--no-require-same-mask", models=("s1.st", "dense.st", "s2.st"))
    assert allowed.code == 0, allowed.err


@pytest.mark.parametrize("command", ["sparse-soup", "soup"])
def test_every_score_is_that_of_bn_reset(cli, here, command):
    more = ("--reset-data", "calibration.npz", "--reset-samples", 50, "--json")
    result = cli(command, "s1.st", "s2.st", "s3.st", *GREEDY, *MODEL, "-o", "out.st", *more)
    assert result.code == 0, result.err
    document = json.loads(result.out)
    found = document["greedy"]
    assert found["reset"] == {"data": "calibration", "samples": 50, "seed": 0}
    reset = ("--data", "calibration.npz", "--samples", 50, "--batch-size", 60, *MODEL)
    for row in found["members"]:
        assert cli("bn-reset", row["model"], *reset, "-o", f"reset-{row['model']}").code == 0
        assert row["score"] == pytest.approx(loss(cli, f"reset-{row['model']}"), rel=1e-5)
        assert row["score"] != pytest.approx(loss(cli, row["model"]), rel=1e-3)
    step = found["steps"][0]
    assert cli("soup", *step["members"], "-o", "step.st").code == 0
    assert cli("bn-reset", "step.st", *reset, "-o", "reset-step.st").code == 0
    assert step["score"] == pytest.approx(loss(cli, "reset-step.st"), rel=1e-5)
    assert found["written"]["score"] == pytest.approx(found["score"], rel=1e-4)
    assert found["written"]["score"] == pytest.approx(loss(cli, "out.st"), rel=1e-6)
    assert document["measured"]["kind"] == "batch-norm"


def test_both_outputs_can_be_verified_and_the_mask_stays(cli, here):
    result = greedy(cli, "--reset-data", "calibration.npz", "--report-benchmark", "test.yaml", "--report", "report")
    assert result.code == 0, result.err
    for name in ("out-averaged.st", "out.st"):
        assert cli("verify", name).code == 0
    average, written = load(here / "out-averaged.st"), load(here / "out.st")
    changed = {name for name in written if not torch.equal(average[name], written[name])}
    kinds = ("running_mean", "running_var", "num_batches_tracked")
    assert changed == {f"bn{layer}.{kind}" for layer in (1, 2) for kind in kinds}
    assert "measured anew on 4096 items of calibration" in (here / "report" / "report.md").read_text()
    rows = json.loads((here / "report" / "results.json").read_text())["results"]
    assert {row["data_use"] for row in rows} == {"held-out, unlabeled"}


@pytest.mark.parametrize("data", ["test.yaml", "calibration.npz"])
def test_statistics_from_data_that_is_reported_on_are_told(cli, here, data):
    told = "test inputs were used: BatchNorm statistics were measured on items of test, whose scores flatter them"
    result = greedy(cli, "--reset-data", data, "--report-benchmark", "test.yaml", "--report", "report")
    assert result.code == 0, result.err
    assert (f"warning: {told}" in result.err) is (data == "test.yaml")
    assert (told in (here / "report" / "report.md").read_text()) is (data == "test.yaml")


def test_scores_of_other_reset_data_are_not_used_again(cli, here):
    scores = here / "out.st.scores.jsonl"
    assert greedy(cli).code == 0
    plain = len(scores.read_text().splitlines())
    first = greedy(cli, "--reset-data", "calibration.npz", "--force")
    assert first.code == 0, first.err
    assert "were known" not in first.out
    assert len(scores.read_text().splitlines()) == 2 * plain
    assert f"{plain} scores were known" in greedy(cli, "--reset-data", "calibration.npz", "--force").out
    other = ("--reset-data", "calibration.npz", "--reset-samples", 30, "--force")
    assert "were known" not in greedy(cli, *other).out


def test_one_model_alone_is_reset_too(cli, here):
    result = greedy(cli, "--reset-data", "calibration.npz", "--minimum-gain", 100)
    assert result.code == 0, result.err
    assert load(here / "out.st").keys() == load(here / "s1.st").keys()
    assert cli("verify", "out.st").code == 0


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(cli, here):
    before = sorted(here.iterdir())
    result = greedy(cli, "--reset-data", "calibration.npz", "--dry-run")
    assert result.code == 0, result.err
    assert "measured on calibration.npz before each of them" in result.out
    assert sorted(here.iterdir()) == before


def test_refusals(cli, here):
    plain = cli(
        "soup",
        "p1.st",
        "p2.st",
        *GREEDY,
        "--model",
        "networks.py:Plain",
        "--reset-data",
        "calibration.npz",
        "-o",
        "o.st",
    )
    assert_refused(plain, 2, "p1.st", "no BatchNorm statistics")
    assert_refused(greedy(cli, "--reset-samples", 5), 2, "--reset-samples", "--reset-data")
    assert_refused(greedy(cli, "--reset-data", "none.npz"), 2, "none.npz")
    alone = cli("sparse-soup", "s1.st", "s2.st", "--reset-data", "calibration.npz", "-o", "o.st")
    assert_refused(alone, 2, "--reset-data belongs to --strategy greedy")
    one = greedy(cli, models=("s1.st",))
    assert_refused(one, 2, "at least 2 models")
    (here / "out-averaged.st").write_bytes((here / "s1.st").read_bytes())
    assert_refused(greedy(cli, "--reset-data", "calibration.npz"), 2, "out-averaged.st", "exists")


def test_an_interrupted_run_goes_on(cli, here, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("merge.commands.adjusting.adjust", lambda *_, **__: (_ for _ in ()).throw(OSError("no power")))
        assert greedy(cli, "--reset-data", "calibration.npz").code != 0
    assert (here / "out-averaged.st").exists()
    assert not (here / "out.st").exists()
    result = greedy(cli, "--reset-data", "calibration.npz", "--resume")
    assert result.code == 0, result.err
    assert "scores were known" in result.out
    assert cli("verify", "out.st").code == 0
