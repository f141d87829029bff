"""Oracle S3: the learned soup's weights, gradients and one step of AdamW, worked out independently."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from merge.search.learned import Coefficients, LearnedChoice, batches, learn
from merge.search.streamed import MemberTensors, alpha_gradient, average

ROW_2 = [0.6652409558, 0.2447284711, 0.0900305732]


class FakeMembers:
    """Models as lists of tensors; counts how often one is read."""

    def __init__(self, *models):
        info = SimpleNamespace(dtype="F64")
        self.rows = [SimpleNamespace(name=f"t{index}", tensors=(info,)) for index in range(len(models[0]))]
        self._models = [[torch.tensor(one, dtype=torch.float64) for one in model] for model in models]
        self.nbytes = sum(tensor.nbytes for tensor in self._models[0])
        self.reads = 0

    def __len__(self):
        return len(self._models)

    def read(self, number, row):
        self.reads += 1
        return self._models[number][int(row.name[1:])]

    def stream(self, number):
        return ((row, self.read(number, row)) for row in self.rows)


class Logits:
    """A network without input: its only tensor is the logits, the label is 0."""

    def step(self, tensors, items, temperature):
        logits = tensors["t0"].double().requires_grad_()
        beta = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
        loss = torch.nn.functional.cross_entropy((beta * logits)[None], torch.tensor([0]))
        loss.backward()
        return loss.item(), {"t0": logits.grad}, beta.grad.item()


def softmax(*rows):
    return torch.tensor(rows, dtype=torch.float64).softmax(dim=1)


def test_one_row_of_weights_a_tensor():
    members = FakeMembers([(1.0, 2.0), 0.5], [(3.0, -2.0), -0.5], [(2.0, 0.0), 1.5])
    alpha = softmax((0, 0, 0), (1, 0, -1))
    assert alpha[1].tolist() == pytest.approx(ROW_2, abs=1e-10)
    found = average(MemberTensors(members, 0), alpha)
    assert found["t0"].tolist() == pytest.approx([2, 0], abs=1e-7)
    assert found["t1"].item() == pytest.approx(0.3453021021, abs=1e-7)


def test_gradient_of_the_weights():
    tensors, alpha = MemberTensors(FakeMembers([(2.0, 0.0)], [(0.0, 1.0)]), 0), softmax((0.5, 0.5))
    loss, gradient, slope = Logits().step(average(tensors, alpha), None, 1.0)
    assert (loss, slope) == pytest.approx((0.4740769842, -0.1887703344), abs=1e-9)
    raw = torch.tensor([[0.5, 0.5]], dtype=torch.float64, requires_grad=True)
    raw.softmax(dim=1).backward(alpha_gradient(tensors, gradient, alpha))
    assert raw.grad[0].tolist() == pytest.approx([-0.2831555016, 0.2831555016], abs=1e-9)


def test_one_step():
    members = FakeMembers([(2.0, 0.0)], [(0.0, 1.0)])
    tensors = MemberTensors(members, 0)
    coefficients, history = learn(tensors, 1, 2, Logits(), 1, LearnedChoice(epochs=1, batch_size=1))
    assert history == pytest.approx([0.4740769842], abs=1e-9)
    assert coefficients.raw[0].tolist() == pytest.approx([0.5499999982, 0.4500000018], abs=1e-9)
    assert coefficients.temperature.item() == pytest.approx(1.0499999974, abs=1e-9)
    assert coefficients.alpha()[0].tolist() == pytest.approx([0.5249791866, 0.4750208134], abs=1e-9)
    after, _, _ = Logits().step(average(tensors, coefficients.alpha()), None, coefficients.temperature.item())
    assert after == pytest.approx(0.4361839461, abs=1e-7)


def test_the_start_is_uniform():
    assert Coefficients(2, 4, 0.05).alpha().tolist() == [[0.25] * 4] * 2


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_memory_saves_reads_and_changes_nothing(kept):
    members = FakeMembers([(2.0, 0.0)], [(0.0, 1.0)])
    choice = LearnedChoice(epochs=3, batch_size=1, memory=kept * members.nbytes)
    tensors = MemberTensors(members, choice.memory)
    coefficients, _ = learn(tensors, 1, 2, Logits(), 2, choice)
    assert tensors.streamed == 2 - kept
    assert members.reads == kept + 2 * choice.steps(2) * tensors.streamed
    reference, _ = learn(MemberTensors(FakeMembers([(2.0, 0.0)], [(0.0, 1.0)]), 0), 1, 2, Logits(), 2, choice)
    assert torch.equal(coefficients.raw, reference.raw)


def test_every_epoch_sees_every_item_once_in_another_order():
    choice = LearnedChoice(epochs=2, batch_size=4, seed=3)
    parts = list(batches(10, choice))
    assert [len(part) for part in parts] == [4, 4, 2] * 2
    assert len(parts) == choice.steps(10)
    first, second = np.concatenate(parts[:3]), np.concatenate(parts[3:])
    assert sorted(first) == sorted(second) == list(range(10))
    assert first.tolist() != second.tolist()
    assert [part.tolist() for part in parts] == [part.tolist() for part in batches(10, choice)]
