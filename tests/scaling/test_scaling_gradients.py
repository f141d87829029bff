"""Derivatives by the coefficients against torch's own, and streams against memory."""

from __future__ import annotations

import pytest
import torch
from scaling.scaling_case import data_task, drawn, moved, network, random_state, task_vectors

from merge.scaling.descent import learn
from merge.scaling.presets import Choice
from merge.scaling.tasks import add_to
from merge.streaming.parts import parts_of

BASE = random_state(network(), 0)
MODELS = [moved(BASE, seed) for seed in (1, 2, 3)]


def coefficients(parts: int, blocks: int = len(BASE)) -> torch.Tensor:
    return torch.randn(3, blocks, parts, dtype=torch.float64, generator=torch.Generator().manual_seed(9))


def by_autograd(values: torch.Tensor, inputs: torch.Tensor, labels: torch.Tensor, seed: int) -> torch.Tensor:
    """Return the derivative with the coefficients as leaves of the graph."""
    leaf = values.clone().requires_grad_(True)
    tensors = {}
    for block, (name, base) in enumerate(BASE.items()):
        chosen = torch.from_numpy(parts_of(name, base.numel(), values.shape[2], seed)).int()
        own = leaf[:, block if values.shape[1] > 1 else 0]
        scaled = [
            own[number][chosen].reshape(base.shape) * (model[name] - base).double()
            for number, model in enumerate(MODELS)
        ]
        tensors[name] = base.double() + sum(scaled)
    logits = torch.func.functional_call(network().double(), tensors, (inputs.double(),))
    (found,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, labels), leaf)
    return found


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("blocks", [1, len(BASE)])
@pytest.mark.parametrize("memory", [0, 10**9])
def test_the_derivative_is_that_of_the_coefficients_as_leaves(parts, blocks, memory):
    inputs, labels = drawn(12, 4)
    values = coefficients(parts, blocks)
    task = data_task(BASE, inputs, labels, network())
    with task_vectors(BASE, MODELS, memory, seed=5) as vectors:
        assert vectors.streamed == (4 if memory == 0 else 0)
        tensors = vectors.scaled(values)
        task.write(tensors)
        _, gradient = task.gradient(list(tensors), Choice(batch=12), 0, 0)
        found = vectors.derivative(gradient, values.shape)
    torch.testing.assert_close(found, by_autograd(values, inputs, labels, 5), atol=1e-6, rtol=1e-5)


def test_losses_of_several_tasks_add_up():
    first, second = drawn(8, 1), drawn(8, 2)
    one, other = (data_task(BASE, *data, network()) for data in (first, second))
    choice, total = Choice(batch=8), {}
    for task in (one, other):
        add_to(total, task.gradient(list(BASE), choice, 0, 0)[1])
    both = data_task(BASE, torch.cat([first[0], second[0]]), torch.cat([first[1], second[1]]), network())
    whole = both.gradient(list(BASE), Choice(batch=16), 0, 0)[1]
    for name, slope in whole.items():
        torch.testing.assert_close(total[name], 2 * slope)


def test_a_step_may_run_in_portions():
    task = data_task(BASE, *drawn(40, 3), network())
    loss, gradient = task.gradient(list(BASE), Choice(batch=40), 0, 0)
    from dataclasses import replace

    whole, expected = replace(task, batch_size=40).gradient(list(BASE), Choice(batch=40), 0, 0)
    assert loss == pytest.approx(whole, abs=1e-6)
    for name, slope in expected.items():
        torch.testing.assert_close(gradient[name], slope)


def test_streamed_models_give_what_models_in_memory_give():
    found = []
    for memory in (0, 10**9):
        task, check = data_task(BASE, *drawn(40, 3), network()), data_task(BASE, *drawn(30, 4), network())
        with task_vectors(BASE, MODELS, memory) as vectors:
            found.append(learn(vectors, [task], [check], Choice(epochs=3, batch=10, partitions=2)))
    assert torch.equal(found[0].best.coefficients, found[1].best.coefficients)
    assert found[0].trials == found[1].trials


def test_tied_tensors_share_their_coefficients_and_count_once():
    with task_vectors(BASE, MODELS, tied={"2.bias": "0.bias"}) as vectors:
        assert vectors.blocks == len(BASE) - 1
        rows = {row.name: row for row in vectors.rows}
        assert vectors.block(rows["2.bias"], 3) == vectors.block(rows["0.bias"], 3)
        assert vectors.parts_name(rows["2.bias"]) == "0.bias"
