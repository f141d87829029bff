"""The worked numbers of the specification: a scaled model, the regularizer, and steps of AdamW by hand."""

from __future__ import annotations

import math

import pytest
import torch
from scaling.scaling_case import task_vectors

import merge
from merge.scaling.coefficients import Coefficients, regularizer
from merge.scaling.presets import Choice

BASE = {"a": torch.tensor([1.0, 1.0]), "b": torch.tensor([[0.0, 2.0]])}
VECTORS = (
    {"a": torch.tensor([1.0, -1.0]), "b": torch.tensor([[2.0, 2.0]])},
    {"a": torch.tensor([0.0, 4.0]), "b": torch.tensor([[-1.0, 1.0]])},
)
MODELS = [{name: BASE[name] + vector[name] for name in BASE} for vector in VECTORS]
C = torch.tensor([[0.5, -1.0], [0.25, 2.0]], dtype=torch.float64)
OUTCOME = {"a": [1.5, 1.5], "b": [[-4.0, 2.0]]}


def test_the_scaled_model():
    with task_vectors(BASE, MODELS) as vectors:
        found = vectors.scaled(C[:, :, None])
    assert {name: tensor.tolist() for name, tensor in found.items()} == OUTCOME


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_method_merges_the_same(dtype):
    statistics = [{name: C[model, block].reshape(1) for block, name in enumerate(BASE)} for model in range(2)]
    base, models = ({n: t.to(dtype) for n, t in BASE.items()}, [{n: t.to(dtype) for n, t in m.items()} for m in MODELS])
    found = merge.merge_state_dicts(models, method="atlas", base=base, statistics=statistics)
    assert {name: tensor.tolist() for name, tensor in found.items()} == OUTCOME
    assert {tensor.dtype for tensor in found.values()} == {dtype}


def test_the_scale_multiplies_what_was_learned():
    statistics = [{name: C[model, block].reshape(1) for block, name in enumerate(BASE)} for model in range(2)]
    found = merge.merge_state_dicts(MODELS, method="atlas", base=BASE, statistics=statistics, scale=[2.0, 0.0])
    assert found["a"].tolist() == [1 + 1.0, 1 - 1.0]


def test_coefficients_of_zero_are_the_base_and_tensors_without_any_too():
    statistics = [{"a": torch.zeros(1)} for _ in MODELS]
    found = merge.merge_state_dicts(MODELS, method="atlas", base=BASE, statistics=statistics)
    assert all(torch.equal(found[name], BASE[name]) for name in BASE)


@pytest.mark.parametrize(("norm", "value"), [(1, 0.9375), (2, 0.6987712430)])
def test_the_regularizer(norm, value):
    assert regularizer(C[:, :, None], norm).item() == pytest.approx(value, abs=1e-10)


def stepped(choice, derivatives, start=None):
    coefficients = Coefficients(torch.zeros(2, 2, 1) if start is None else start, choice, len(derivatives))
    for derivative in derivatives:
        coefficients.step(derivative)
    return coefficients.values()


def test_the_first_step_of_adamw_is_the_rate_against_the_sign():
    derivative = torch.tensor([[[3e-3], [-5.0]], [[0.0], [1.0]]], dtype=torch.float64)
    found = stepped(Choice(clip=None), [derivative])
    assert found.flatten().tolist() == pytest.approx([-0.1, 0.1, 0.0, -0.1], abs=1e-6)


def test_weight_decay_pulls_to_zero_along_the_cosine():
    choice, start = Choice(weight_decay=0.5), torch.ones(2, 2, 1)
    found = stepped(choice, [torch.zeros(2, 2, 1, dtype=torch.float64)] * 2, start)
    rates = [0.1, 0.05 * (1 + math.cos(math.pi / 2))]
    wanted = (1 - rates[0] * 0.5) * (1 - rates[1] * 0.5)
    assert found.flatten().tolist() == pytest.approx([wanted] * 4, abs=1e-12)


def test_the_gradient_is_clipped_at_norm_one():
    steep = torch.full((2, 2, 1), 1e6, dtype=torch.float64)
    second = torch.full((2, 2, 1), 1e-3, dtype=torch.float64)
    clipped = stepped(Choice(cosine=False, weight_decay=0), [steep, second])
    wanted = stepped(Choice(cosine=False, weight_decay=0, clip=None), [steep / steep.norm(), second])
    assert clipped.flatten().tolist() == pytest.approx(wanted.flatten().tolist(), abs=1e-7)
    free = stepped(Choice(cosine=False, weight_decay=0, clip=None), [steep, second])
    assert not torch.allclose(clipped, free, atol=1e-4)


def test_bounded_coefficients_stay_between_zero_and_one():
    derivative = torch.tensor([[[1.0], [-1.0]], [[1.0], [-1.0]]], dtype=torch.float64)
    found = stepped(Choice(bounded=True, cosine=False, learning_rate=0.9), [derivative] * 3, torch.full((2, 2, 1), 0.3))
    assert found.flatten().tolist() == [0.0, 1.0, 0.0, 1.0]


def test_the_regularizer_enters_the_step():
    start = torch.tensor([[[0.5], [-0.5]], [[0.25], [2.0]]])
    found = stepped(Choice(regularizer="l1", weight_decay=0), [torch.zeros(2, 2, 1, dtype=torch.float64)], start)
    assert (found - start).sign().flatten().tolist() == [-1.0, 1.0, -1.0, -1.0]
