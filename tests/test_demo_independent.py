"""``merge demo --independent``: two models that are good alone, and a file with their class."""

from __future__ import annotations

import json
import shlex

import pytest
import torch
from safetensors.torch import load_file

from merge.demo import run_independent, strangers
from merge.errors import MergeError


def test_it_writes_two_models_and_their_class_and_says_what_is_next(short_strangers, tmp_path, capsys):
    folder = tmp_path / "my demo"
    run_independent(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["a.st", "b.st", "config.json", "model.py"]
    a, b = (load_file(folder / name) for name in ("a.st", "b.st"))
    assert {name: tensor.shape for name, tensor in a.items()} == {name: tensor.shape for name, tensor in b.items()}
    assert not torch.equal(a["second.weight"], b["second.weight"])
    printed = capsys.readouterr().out
    commands = [shlex.split(line) for line in printed.splitlines() if line.startswith("  merge ")]
    out = str(folder / "out.st")
    wanted = ["merge", "rebasin", str(folder / "a.st"), str(folder / "b.st"), "--model", str(folder), "-o", out]
    assert commands == [[*wanted, "--report-benchmark", "digits", "--report", str(folder / "report")]]


def test_what_it_says_is_next_runs_and_the_report_shows_the_path_before_and_after(
    short_strangers, tmp_path, capsys, cli
):
    run_independent(tmp_path / "demo")
    printed = capsys.readouterr().out
    result = cli(*shlex.split(printed.splitlines()[-1])[1:])
    assert result.code == 0, result.err
    found = json.loads((tmp_path / "demo" / "report" / "results.json").read_text())
    assert [curve["name"] for curve in found["barrier"]["curves"]] == ["naive", "aligned"]
    naive, aligned = (
        next(row["value"] for row in curve["barriers"] if (row["metric"], row["definition"]) == ("loss", "linear"))
        for curve in found["barrier"]["curves"]
    )
    assert aligned < naive
    page = (tmp_path / "demo" / "report" / "report.html").read_text()
    assert "naive, digits (test)" in page
    assert "aligned, digits (test)" in page


def test_the_folder_in_place_of_the_class_is_told_the_class(short_strangers, tmp_path, cli):
    folder = tmp_path / "demo"
    run_independent(folder)
    (folder / "broken.py").write_text("class (")
    (folder / "config.json").unlink()
    given = ("--model", str(folder), "--benchmark", "digits")
    result = cli("eval", str(folder / "a.st"), *given)
    assert result.code == 2
    assert f"did you mean {folder}/model.py:DigitsNetwork?" in result.err


def test_a_configuration_stands_for_the_class_and_runs_nothing_of_the_folder(short_strangers, tmp_path, cli):
    folder = tmp_path / "demo"
    run_independent(folder)
    (folder / "model.py").write_text("raise SystemExit('this was run')")
    for given in ((), ("--model", str(folder))):
        result = cli("eval", str(folder / "a.st"), "--benchmark", "digits", *given)
        assert result.code == 0, result.err


def test_the_class_beside_the_models_evaluates_them(short_strangers, tmp_path, cli):
    run_independent(tmp_path / "demo")
    model = f"{tmp_path / 'demo' / 'model.py'}:DigitsNetwork"
    result = cli("eval", str(tmp_path / "demo" / "a.st"), "--benchmark", "digits", "--model", model)
    assert result.code == 0, result.err
    assert "accuracy" in result.out


def test_the_same_seed_gives_the_same_models_and_another_one_others(short_strangers, tmp_path):
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        run_independent(tmp_path / name, seed=seed)
    weights = {
        (name, model): load_file(tmp_path / name / f"{model}.st")["third.weight"].numpy().tobytes()
        for name in ("one", "again", "other")
        for model in "ab"
    }
    assert all(weights["one", model] == weights["again", model] for model in "ab")
    assert len(set(weights.values())) == 4


def test_torch_is_left_with_its_threads_and_its_random_state(short_strangers, tmp_path):
    torch.set_num_threads(2)
    state = torch.get_rng_state()
    run_independent(tmp_path / "demo")
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), state)


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(MergeError, match="new or empty folder"):
        run_independent(tmp_path)


def test_the_command_takes_the_flag(short_strangers, tmp_path, cli):
    result = cli("demo", str(tmp_path / "demo"), "--independent", "--seed", "3")
    assert result.code == 0, result.err
    assert (tmp_path / "demo" / "b.st").is_file()


@pytest.mark.slow
def test_models_are_good_alone_and_their_plain_average_is_worse(tmp_path):
    from merge.evaluation.data import load_digits

    train, test = load_digits("train"), load_digits("test")
    network = strangers.write_model_file(tmp_path)
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.labels)
    models = [strangers.train_stranger(network, images, labels, seed, epochs=20) for seed in (0, 1)]
    held_out = torch.from_numpy(test.images), torch.from_numpy(test.labels)
    alone = [strangers.accuracy(model, *held_out) for model in models]
    assert min(alone) > 0.95
    assert strangers.accuracy(strangers.average(models, network), *held_out) < min(alone) - 0.02
