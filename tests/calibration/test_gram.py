"""Gram matrices of whole networks, against sums by hand in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gram_case import FakeData, FakeSubject, Tied, Two, close, gram_of, mean, random
from torch import nn

from merge.calibration.declared import GramCalibration
from merge.calibration.gram import compute_gram
from merge.calibration.storing import Store
from merge.errors import MergeError
from merge.evaluation.candidate import Candidate
from merge.evaluation.task import Settings


def test_two_layers_by_hand(tmp_path):
    torch.manual_seed(0)
    module, x = Two(), random(5, 4, 3)
    tensors, facts = gram_of(FakeData(FakeSubject(module), {"x": x}), tmp_path / "out.st")
    assert set(tensors) == {"first.weight", "second.weight"}
    close(tensors["first.weight"], mean(x))
    close(tensors["second.weight"], mean(module.norm(module.first(x)).relu()))
    assert facts.rows == {"first.weight": 20, "second.weight": 20}
    assert facts.about["left_out"] == {"unused.weight": "never multiplied by as a whole"}
    assert facts.data_use == "unlabeled"


def test_the_size_of_a_batch_changes_nothing_but_rounding(tmp_path):
    data = FakeData(FakeSubject(Two()), {"x": random(5, 4, 3)})
    one, _ = gram_of(data, tmp_path / "one.st", batch_size=1)
    all_at_once, _ = gram_of(data, tmp_path / "all.st", batch_size=5)
    for name in one:
        close(one[name], all_at_once[name])
    assert data.of.runs == 10  # one forward pass for each item


def test_progress_is_told(tmp_path):
    told: list[int] = []
    data = FakeData(FakeSubject(Two()), {"x": random(5, 4, 3)})
    with Store(tmp_path / "out.st") as store:
        settings = Settings(batch_size=2, advance=told.append)
        compute_gram(Candidate("m", {}, None, "id"), data, GramCalibration(), settings, store)
    assert told == [2, 2, 1]


def test_grams_of_a_network_in_float32_are_those_of_float64_to_5_digits(tmp_path):
    torch.manual_seed(0)
    module, x = Two(), random(64, 50, 3)
    exact, _ = gram_of(FakeData(FakeSubject(module), {"x": x}), tmp_path / "a.st", batch_size=8)
    single, _ = gram_of(FakeData(FakeSubject(module.float()), {"x": x.float()}), tmp_path / "b.st", batch_size=8)
    for name, tensor in exact.items():
        close(single[name], tensor, 1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_layer_whose_inputs_are_not_finite_is_named(tmp_path, value):
    module = Two()
    with torch.no_grad():
        module.norm.weight[1] = value
    with pytest.raises(MergeError, match=r"model: the inputs of 'second.weight' are not finite"):
        gram_of(FakeData(FakeSubject(module), {"x": random(5, 4, 3)}), tmp_path / "out.st")
    assert not list(tmp_path.iterdir())


def test_a_model_without_matrices_is_refused(tmp_path):
    module = nn.Sequential(nn.Conv1d(4, 2, 1, dtype=torch.float64))
    data = FakeData(FakeSubject(module), {"input": random(2, 4, 3)})
    with pytest.raises(MergeError, match=r"multiplies its inputs by none of its tensors .*--convolutions"):
        gram_of(data, tmp_path / "out.st")
    tensors, facts = gram_of(data, tmp_path / "out.st", convolutions=True)
    close(tensors["0.weight"], mean(random(2, 4, 3).transpose(1, 2)))
    assert facts.layout == {"0.weight": "convolution"}


def test_tied_weights_have_no_gram(tmp_path):
    """Nor does the head that shares their input lose its own."""
    data = FakeData(FakeSubject(Tied()), {"input_ids": torch.tensor([[1, 2], [3, 4]])})
    tensors, facts = gram_of(data, tmp_path / "out.st")
    assert set(tensors) == {"hidden.weight", "value.weight"}
    assert not facts.aliases
    assert facts.about["left_out"] == {"table.weight": "embedding, or tied to one"}


def test_one_parameter_of_two_names_has_no_gram(tmp_path):
    module = Two()
    subject = FakeSubject(module, more_places={"again.weight": module.second.weight})
    tensors, facts = gram_of(FakeData(subject, {"x": random(5, 4, 3)}), tmp_path / "out.st")
    assert set(tensors) == {"first.weight"}
    assert facts.about["left_out"]["again.weight"] == "one parameter of several names"


def test_matrices_that_the_network_keeps_elsewhere_are_named(tmp_path):
    tensors = {"experts.0.w1.weight": torch.ones(2, 2), "experts.0.bias": torch.ones(2)}
    _, facts = gram_of(FakeData(FakeSubject(Two()), {"x": random(5, 4, 3)}), tmp_path / "out.st", tensors=tensors)
    assert facts.about["left_out"]["experts.0.w1.weight"] == "without a place of its own in the network"
    assert "experts.0.bias" not in facts.about["left_out"]


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.ModuleList(nn.Linear(3, 2, bias=False) for _ in range(3))
        self.ups = nn.ModuleList(nn.Linear(3, 2, bias=False) for _ in range(3))

    def forward(self, x: torch.Tensor, expert: torch.Tensor) -> None:
        for number in expert.unique().tolist():
            rows = x[expert == number]
            self.gates[number](rows) * self.ups[number](rows)


def test_experts_without_a_row_have_no_gram(tmp_path):
    x = random(4, 3).float()
    data = FakeData(FakeSubject(Experts()), {"x": x, "expert": torch.tensor([0, 0, 0, 2])})
    tensors, facts = gram_of(data, tmp_path / "out.st")
    assert facts.rows == {"gates.0.weight": 3, "gates.2.weight": 1}
    assert facts.aliases == {"ups.0.weight": "gates.0.weight", "ups.2.weight": "gates.2.weight"}
    assert set(facts.about["left_out"]) == {"gates.1.weight", "ups.1.weight"}
    close(tensors["gates.2.weight"], mean(x[3:]), 1e-6)


def interrupt_after(items: int) -> Any:
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if done > items:
            raise KeyboardInterrupt

    return advance


def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path):
    torch.manual_seed(0)
    data = FakeData(FakeSubject(Tied()), {"input_ids": torch.arange(18).reshape(9, 2) % 7})
    candidate = Candidate("model", {}, None, "id")
    whole = Settings(batch_size=2)
    with Store(tmp_path / "whole.st") as store:
        expected = compute_gram(candidate, data, GramCalibration(), whole, store)
    stopped = Settings(batch_size=2, advance=interrupt_after(5))
    with pytest.raises(KeyboardInterrupt), Store(tmp_path / "out.st", seconds=0) as store:
        compute_gram(candidate, data, GramCalibration(), stopped, store)
    runs = data.of.runs
    with Store(tmp_path / "out.st", resume=True) as store:
        found = compute_gram(candidate, data, GramCalibration(), whole, store)
    assert store.notes == ["resumed after 4 items"]
    assert data.of.runs - runs == 5
    assert found == expected
    assert (tmp_path / "out.st").read_bytes() == (tmp_path / "whole.st").read_bytes()


def test_a_run_with_other_options_is_not_gone_on_with(tmp_path):
    data = FakeData(FakeSubject(Two()), {"x": random(5, 4, 3)})
    candidate = Candidate("model", {}, None, "id")
    stopped = Settings(batch_size=2, advance=interrupt_after(3))
    with pytest.raises(KeyboardInterrupt), Store(tmp_path / "out.st", seconds=0) as store:
        compute_gram(candidate, data, GramCalibration(), stopped, store)
    with Store(tmp_path / "out.st", resume=True) as store:
        compute_gram(candidate, data, GramCalibration(padding="counted"), Settings(batch_size=2), store)
    assert store.notes == [
        "nothing to resume, so everything was computed anew: what it depends on has changed: options"
    ]
