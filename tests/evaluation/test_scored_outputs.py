"""Benchmarks that score some of a model's outputs: those of one of two label spaces."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from checkpoint_files import save

from merge.errors import MergeError, UsageError
from merge.evaluation.scored_outputs import ScoredOutputs, scored
from merge.evaluation.specification import read_benchmark

CLASS = """
import torch
from torch import nn

class Linear(nn.Linear):
    def __init__(self):
        super().__init__(3, {outputs}, bias=False)
    def example_inputs(self):
        return torch.zeros(1, 3)
"""
BENCHMARK = "name: {name}\nkind: classification\ndata: {{path: data.npz, images: x, labels: y}}\n"


@pytest.fixture
def folder(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.eye(3, dtype=np.float32).reshape(3, 1, 1, 3), y=np.array([0, 1, 2]))
    for name, outputs in {"three": 3, "five": 5}.items():
        (tmp_path / f"{name}.py").write_text(CLASS.format(outputs=outputs))
    save(tmp_path / "three.st", {"weight": torch.eye(3)})
    # The last three outputs say which image it is; the first two are larger than all of them.
    save(tmp_path / "five.st", {"weight": torch.cat([torch.full((2, 3), 9.0), torch.eye(3)])})
    (tmp_path / "all.yaml").write_text(BENCHMARK.format(name="all"))
    (tmp_path / "last.yaml").write_text(BENCHMARK.format(name="last") + "outputs: [2, 4]\n")
    return tmp_path


def accuracy(cli, folder, model, benchmark):
    given = ("--model", f"{folder / model}.py:Linear", "--json")
    result = cli("eval", folder / f"{model}.st", "--benchmark", folder / f"{benchmark}.yaml", *given)
    assert result.code == 0, result.err
    return json.loads(result.out)["results"][0]["value"]


def test_other_outputs_do_not_count(cli, folder):
    assert accuracy(cli, folder, "five", "all") == pytest.approx(1 / 3)  # every image is class 0 for it
    assert accuracy(cli, folder, "five", "last") == 1


def test_a_model_with_just_as_many_outputs_is_scored_by_all_of_them(cli, folder):
    assert accuracy(cli, folder, "three", "last") == 1


def test_a_model_with_too_few_outputs(cli, folder):
    (folder / "late.yaml").write_text(BENCHMARK.format(name="late") + "outputs: [4, 6]\n")
    given = ("--model", f"{folder / 'five'}.py:Linear")
    result = cli("eval", folder / "five.st", "--benchmark", folder / "late.yaml", *given)
    assert result.code == 1
    assert "scores outputs 4 to 6, the model has 5" in result.err


@pytest.mark.parametrize("given", ["3", "[1]", "[1, 2, 3]", "[a, b]", "[3, 1]", "[-1, 2]", "[2, 2]", "[0.5, 2]"])
def test_mistakes_are_said_with_their_place(folder, given):
    path = folder / "wrong.yaml"
    path.write_text(BENCHMARK.format(name="wrong") + f"outputs: {given}\n")
    with pytest.raises(UsageError, match="'outputs' must be") as caught:
        read_benchmark(str(path))
    assert caught.value.where == f"{path}:4:1"


def test_slices():
    logits = torch.arange(10.0).reshape(2, 5)
    assert scored(None, logits, "m") is logits
    assert ScoredOutputs(1, 2).of(logits, "m").tolist() == [[1, 2], [6, 7]]
    with pytest.raises(MergeError):
        ScoredOutputs(3, 5).of(logits, "m")
