"""Fisher-weighted averaging against worked numbers (float64) and a written-out reference."""

from __future__ import annotations

import pytest
import torch
from in_memory import run_recipe

from merge import MergeError, UsageError
from merge.recipe import Merge, Model, Recipe

WEIGHTS = [(1.0, 2.0, 3.0, 4.0), (5.0, -2.0, 0.0, 8.0)]
INFORMATION = [(4.0, 0.0, 1e-8, 2.0), (1.0, 3.0, 1e-9, 0.0)]
HALVES = (0.5, 0.5)
CASES = {
    "target, norm": (HALVES, {}, (2.0448154999, -1.9999990572, 2.9957633508, 4)),
    "target, no norm": (HALVES, {"normalize": False}, (1.8, -1.9999986667, 2.9970029970, 4)),
    "all, norm": (HALVES, {"floor_on": "all"}, (2.0448154999, -1.9999990572, 1.2426406871, 4.0000028284)),
    "all, no norm": (HALVES, {"floor_on": "all", "normalize": False}, (1.8, -1.9999986667, 1.5, 4.000002)),
    "weights": ((0.2, 0.8), {}, (3.3431457505, -1.9999997643, 2.9831248972, 4)),
    "the target does not count": ((0.0, 1.0), {}, (5, -2, 0, 4)),  # the reference code has a NaN in the last place
    "the target does not count, all": ((0.0, 1.0), {"floor_on": "all"}, (5, -2, 0, 8)),
    "the target alone": ((1.0, 0.0), {}, WEIGHTS[0]),
    "the target alone, all, no norm": ((1.0, 0.0), {"floor_on": "all", "normalize": False}, WEIGHTS[0]),
    "after norm": (HALVES, {"floor_on": "after-norm"}, (2.0448154999, -1.9999957836, 2.9990516166, 4)),
    "wiseft": (HALVES, {"preset": "wiseft"}, (1.8, -1.9999999867, 1.5, 4.00000002)),
    "a floor in a preset's place": (
        HALVES,
        {"preset": "wiseft", "floor": 1e-6, "floor_on": "target"},
        (1.8, -1.9999986667, 2.9970029970, 4),
    ),
}


def fisher(weights, states, information, **options):
    models = tuple(
        Model(state, {"weight": weight}, statistics={"fisher": one})
        for state, weight, one in zip(states, weights, information, strict=True)
    )
    return run_recipe(Recipe(Merge("fisher", models, None, options)))[0]


def tensor(values) -> dict[str, torch.Tensor]:
    return {"x": torch.tensor(values, dtype=torch.float64)}


@pytest.mark.parametrize("case", CASES)
def test_worked_numbers(case):
    weights, options, wanted = CASES[case]
    found = fisher(weights, map(tensor, WEIGHTS), map(tensor, INFORMATION), **options)["x"]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), rtol=0, atol=1e-9)


def test_tensors_without_fisher_information_in_any_file_are_averaged_with_the_weights():
    states = [{**tensor(values), "y": tensor(values)["x"]} for values in WEIGHTS]
    found = fisher((0.25, 0.5), states, map(tensor, INFORMATION))["y"]
    assert found.tolist() == [0.25 * a + 0.5 * b for a, b in zip(*WEIGHTS, strict=True)]


def test_fisher_information_in_some_files_only_is_refused():
    states = [{**tensor(values), "y": tensor(values)["x"]} for values in WEIGHTS]
    information = [{**tensor(INFORMATION[0]), "y": torch.ones(4)}, tensor(INFORMATION[1])]
    with pytest.raises(MergeError, match="no statistics of 'y', which other models' files have"):
        fisher(HALVES, states, information)


def test_negative_fisher_information_is_refused():
    for options in ({}, {"normalize": False}):
        with pytest.raises(MergeError, match=r"state dict 4: the statistics of 'x' are negative somewhere"):
            fisher(HALVES, map(tensor, WEIGHTS), [tensor(INFORMATION[0]), tensor((1.0, 1.0, -1e-9, 0.0))], **options)


def test_what_does_not_go_together_is_refused():
    with pytest.raises(UsageError, match="all weights are 0"):
        fisher((0.0, 0.0), map(tensor, WEIGHTS), map(tensor, INFORMATION))
    with pytest.raises(UsageError, match="norms that are not taken"):
        fisher(HALVES, map(tensor, WEIGHTS), map(tensor, INFORMATION), normalize=False, floor_on="after-norm")


def random_inputs(seed: int, dtype: torch.dtype):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a.weight": (5, 7), "b": (9,), "scale": (), "deep": (2, 3, 2, 2), "wide": (3, 70_001)}
    states = [{n: torch.randn(s, generator=generator).to(dtype) for n, s in shapes.items()} for _ in range(3)]
    information = [{n: torch.rand(s, generator=generator) ** 8 for n, s in shapes.items()} for _ in range(3)]
    return states, information


def reference(states, information, weights, power):
    norms = [sum(float((one.double() ** power).square().sum()) for one in each.values()) ** 0.5 for each in information]
    found = {}
    for name in states[0]:
        factors = [each[name].double() ** power for each in information]
        factors[0] = factors[0].clamp(min=1e-6)
        factors = [weight * each / norm for weight, each, norm in zip(weights, factors, norms, strict=True)]
        total = sum(factor * state[name].double() for factor, state in zip(factors, states, strict=True))
        found[name] = total / sum(factors)
    return found


@pytest.mark.parametrize("power", [1.0, 0.5])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_random_tensors_against_a_written_out_reference(dtype, power):
    states, information = random_inputs(0, dtype)
    weights = (0.5, 0.2, 0.3)
    found = fisher(weights, states, information, power=power)
    for name, wanted in reference(states, information, weights, power).items():
        # torch rounds float64 to bfloat16 by way of float32: now and then to the wrong one of two neighbours.
        torch.testing.assert_close(found[name], wanted.to(dtype), rtol=2**-7 if dtype.itemsize == 2 else 0, atol=0)


def test_a_factor_of_one_models_fisher_information_is_undone_by_its_norm():
    states, information = random_inputs(1, torch.float32)
    information = [{name: one + 0.01 for name, one in each.items()} for each in information]  # above every floor
    scaled = [information[0], {name: 1000 * one for name, one in information[1].items()}, information[2]]
    found, again = (fisher((0.3, 0.3, 0.4), states, each) for each in (information, scaled))
    for name in found:
        torch.testing.assert_close(found[name], again[name])


def test_equal_fisher_information_gives_the_average():
    states, _ = random_inputs(2, torch.float64)
    ones = [{name: torch.ones(tensor.shape) for name, tensor in states[0].items()} for _ in states]
    found = fisher((1 / 3,) * 3, states, ones)
    for name in found:
        torch.testing.assert_close(found[name], sum(state[name] for state in states) / 3)
