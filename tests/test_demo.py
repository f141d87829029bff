"""The demo: what it trains, what it runs, and where it refuses to write."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import types

import pytest
import torch

from merge.demo import run_demo, training
from merge.errors import MergeError

FOLDERS = ["base", "tuned-1", "tuned-2", "tuned-3"]


@pytest.fixture
def commands(monkeypatch):
    """Stand in for the command line: remember what is asked, and succeed."""
    asked = []
    command_line = types.ModuleType("merge.cli")
    command_line.main = lambda arguments: asked.append(arguments) or 0
    monkeypatch.setitem(sys.modules, "merge.cli", command_line)
    return asked


def tensors(folder):
    from transformers import ViTForImageClassification

    return ViTForImageClassification.from_pretrained(folder).state_dict()


def test_demo_trains_then_prints_and_runs_the_commands(commands, short_demo, tmp_path, capsys):
    folder = tmp_path / "my demo"
    run_demo(folder)
    assert [path.name for path in sorted(folder.iterdir())] == FOLDERS
    base, *tuned = (str(folder / name) for name in FOLDERS)
    soup, report = str(folder / "soup"), str(folder / "report")
    assert commands == [
        ["soup", *tuned, "-o", soup],
        ["eval", base, *tuned, soup, "--benchmark", "digits", "--report", report],
    ]
    printed = [line.removeprefix("$ ") for line in capsys.readouterr().out.splitlines() if line.startswith("$ ")]
    assert [shlex.split(line) for line in printed] == [["merge", *arguments] for arguments in commands]


def test_models_differ_and_repeat(commands, short_demo, tmp_path):
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        run_demo(tmp_path / name, seed=seed)
    weights = {name: [tensors(tmp_path / name / folder) for folder in FOLDERS] for name in ("one", "again", "other")}
    key = "classifier.weight"
    for first, second in zip(weights["one"], weights["again"], strict=True):
        assert all(torch.equal(first[name], second[name]) for name in first)
    distinct = {model[key].numpy().tobytes() for name in ("one", "other") for model in weights[name]}
    assert len(distinct) == 8


def test_training_sees_the_training_images_only(commands, short_demo, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "train", lambda model, images, labels, schedule, *, seed: seen.append(len(images)))
    run_demo(tmp_path / "demo")
    assert seen == [1257] * 4


def test_a_folder_in_use_is_refused(commands, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(MergeError, match="new or empty folder"):
        run_demo(tmp_path)
    with pytest.raises(MergeError, match="new or empty folder"):
        run_demo(tmp_path / "notes.txt")
    assert commands == []


def test_a_failed_command_stops_the_demo(commands, short_demo, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["merge.cli"], "main", lambda arguments: commands.append(arguments) or 1)
    with pytest.raises(MergeError, match=r"^merge soup .*a command of the demo failed"):
        run_demo(tmp_path / "demo")
    assert len(commands) == 1


def test_schedules_speak_plainly():
    schedule = training.Schedule(epochs=15, learning_rate=1e-3, label_smoothing=0.1)
    assert schedule.describe() == "epochs 15, learning rate 0.001, label smoothing 0.1"


def test_tuning_teaches_something():
    """A short training run must beat guessing by far, on training images: learning works at all."""
    from merge.evaluation.data import load_digits

    data = load_digits("train")
    images, labels = torch.from_numpy(data.images[:400]), torch.from_numpy(data.labels[:400])
    model = training.new_model(0)
    training.train(model, images, labels, training.Schedule(epochs=15, learning_rate=3e-3), seed=0)
    with torch.no_grad():
        accuracy = (model(pixel_values=images).logits.argmax(1) == labels).float().mean().item()
    assert accuracy > 0.5


def test_a_greedy_soup_of_the_demo_is_never_below_its_best_member(commands, short_demo, tmp_path):
    run_demo(tmp_path / "demo")
    tuned = [str(tmp_path / "demo" / name) for name in FOLDERS[1:]]
    held_out = ["--strategy", "greedy", "--benchmark", "digits-select", "--report-benchmark", "digits-report"]
    command = [sys.executable, "-m", "merge", "soup", *tuned, *held_out, "-o", str(tmp_path / "soup"), "--json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    greedy = found["greedy"]
    best = max(member["score"] for member in greedy["members"])
    assert greedy["score"] >= best
    assert greedy["written"]["score"] >= best
    assert (greedy["n"], greedy["same_data_as_report"]) == (270, False)
    assert found["evaluation"]["results"][0]["benchmark"] == "digits-report"
