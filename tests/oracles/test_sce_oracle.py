"""SCE: select, calculate, erase, worked by hand and against a reference in float64."""

from __future__ import annotations

import pytest
import torch
from in_memory import merge_states
from odd_shapes import assert_equals_reference


def sce(base, models, topk):
    vectors = torch.stack([model - base for model in models])
    if topk < 1:
        variance = vectors.var(0, unbiased=False).reshape(-1)
        order = torch.argsort(variance, descending=True, stable=True)
        chosen = torch.zeros(variance.shape, dtype=torch.bool)
        chosen[order[: int((variance > 0).sum().item() * topk)]] = True
        vectors = torch.where(chosen.reshape(base.shape), vectors, 0.0)
    energies = (vectors**2).reshape(len(models), -1).sum(1)
    if energies.sum() == 0:
        return base
    coefficients = (energies / energies.sum()).reshape(-1, *[1] * base.ndim)
    agree = vectors.sign() == torch.where(vectors.sum(0) >= 0, 1.0, -1.0)
    divisor = (coefficients * agree).sum(0)
    return base + (coefficients * vectors * agree).sum(0) / torch.where(divisor == 0, 1.0, divisor)


def merged(*vectors, **options):
    models = [{"w": torch.tensor(vector, dtype=torch.float64)} for vector in vectors]
    base = {"w": torch.zeros_like(models[0]["w"])}
    return merge_states("sce", models, base, **options)["w"].tolist()


def test_by_hand():
    # Energies 1 + 1 + 1 = 3 and 4 + 4 + 1 = 9: coefficients 1/4 and 3/4. Signs of the plain sums: +, -, + (0 is +).
    assert merged([1.0, 1, 1], [2.0, -2, -1]) == pytest.approx([7 / 4, -2, 1])


def test_signs_are_elected_without_the_coefficients():
    # 3 - 2 - 2 < 0, although the first has the most energy: 81 + 9 of 98.
    assert merged([3.0, 9], [-2.0, 0], [-2.0, 0]) == pytest.approx([-2, 9])


def test_selection_by_hand():
    # Variances (two models): 1, 0, 16, 4. Of the three that are not 0, int(.67 * 3) = 2 are kept: entries 2 and 3.
    one, two = [1.0, 5, 8, 1], [3.0, 5, 0, 5]
    first, second = 64 + 1, 25
    mean = (first * 1 + second * 5) / (first + second)
    assert merged(one, two, select_topk=0.67) == pytest.approx([0, 0, 8, mean])
    assert merged(one, two, select_topk=0.34) == pytest.approx([0, 0, 8, 0])
    assert merged(one, two, select_topk=0.3) == [0, 0, 0, 0]  # int(.9)
    assert merged(one, two, select_topk=0.0) == [0, 0, 0, 0]


def test_equal_variances_are_ranked_by_their_place():
    assert merged([1.0, 1, 1, 1], [3.0, 3, 3, 3], select_topk=0.5) == pytest.approx([2.8, 2.8, 0, 0])


def test_small_task_vectors_have_coefficients_too():
    assert merged([1e-5, 1e-5, 1e-5], [2e-5, -2e-5, -1e-5]) == pytest.approx([1.75e-5, -2e-5, 1e-5])


def test_one_model_and_equal_models_vary_nowhere():
    assert merged([1.0, 2]) == [1, 2]
    assert merged([1.0, 2], select_topk=0.9) == [0, 0]
    assert merged([1.0, 2], [1.0, 2], [1.0, 2], select_topk=0.9) == [0, 0]
    assert merged([0.0, 0], [0.0, 0]) == [0, 0]


@pytest.mark.parametrize("topk", [1.0, 0.5, 0.1, 0.01])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_against_the_reference(dtype, topk):
    def reference(base, models):
        return sce(base, models, topk)

    assert_equals_reference("sce", reference, dtype, models=3, base=True, select_topk=topk)


@pytest.mark.parametrize("topk", [1.0, 0.3])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_narrow_types_against_the_reference(dtype, topk):
    """With two models and a base of 0, variances are exact enough for float32 to rank them as float64 does."""
    generator = torch.Generator().manual_seed(5)
    one, two = (torch.randint(-9, 10, (37, 53), generator=generator).to(dtype) for _ in range(2))
    base = torch.zeros_like(one)
    found = merge_states("sce", [{"w": one}, {"w": two}], {"w": base}, select_topk=topk)["w"]
    wanted = sce(base.double(), [one.double(), two.double()], topk)
    torch.testing.assert_close(found.double(), wanted, rtol=torch.finfo(dtype).eps, atol=1e-6)
