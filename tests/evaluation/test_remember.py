"""Models are loaded once for several benchmarks where there is room, and never change by being used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from merge.evaluation import evaluate
from merge.evaluation.candidate import Candidate
from merge.evaluation.locate import locate
from merge.evaluation.remember import Remembered, Room, remember


class Counted:
    name = "model"

    def __init__(self):
        self.loads = 0

    def load(self):
        self.loads += 1
        return Candidate("model", {"weight": torch.zeros(4)}, None, "id")


@pytest.mark.parametrize(("left", "loads"), [(16, 1), (15, 3), (None, 3)])
def test_as_far_as_there_is_room(left, loads):
    inner = Counted()
    location = Remembered(inner, Room(left))
    for _ in range(3):
        location.load()
    assert inner.loads == loads


def test_one_benchmark_remembers_nothing():
    locations = {"model": Counted()}
    assert remember(locations, 1) is locations
    assert isinstance(remember(locations, 2)["model"], Remembered)


def test_a_second_benchmark_sees_the_same_weights(classifiers, write_benchmark, tmp_path):
    first = write_benchmark()
    second = tmp_path / "second.yaml"
    second.write_text(Path(first).read_text().replace("name: tiny", "name: other"))
    together = evaluate([str(classifiers[0])], [first, str(second)])
    values = {row["benchmark"]: row["value"] for row in together.results if row["metric"] == "loss"}
    alone = evaluate([str(classifiers[0])], [first]).results[1]["value"]
    assert values == {"tiny": alone, "other": alone}


def test_running_a_model_changes_none_of_its_tensors(classifiers, write_benchmark):
    from merge.evaluation.specification import read_benchmark
    from merge.evaluation.task import Settings

    candidate = locate(str(classifiers[0])).load()
    before = {name: tensor.clone() for name, tensor in candidate.tensors.items()}
    read_benchmark(write_benchmark()).prepare(Settings()).evaluate(candidate)
    assert all(torch.equal(before[name], tensor) for name, tensor in candidate.tensors.items())
