"""A tensor that one model lacks, or has in another shape, under ``average-present``: what it counts as."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from checkpoint_files import equal_bits
from in_memory import merge_states, recipe_of, run_recipe
from registry_cases import METHODS, PERMISSIVE, model_count, needs_base, state

from merge.errors import UsageError
from merge.plan import make_plan
from merge.registry import find_method

READS_A_BASE = [name for name in METHODS if find_method(name).takes != "weights"]
NEEDS_ALL = [name for name in METHODS if find_method(name).needs_all]
SEVERAL = [name for name in METHODS if model_count(name) > 1]
POLICY = {"missing": "average-present", "mismatch": "average-present"}
TENSORS = ("layers.0.w", "layers.1.b", "scale", "long")
MORE: dict[str, dict[str, Any]] = {"consensus": {"threshold": 3}, "task-arithmetic": {"normalize": True}}


def without(models: list[Any], which: int, *, mismatched: bool = False) -> list[Any]:
    found = [dict(model) for model in models]
    for name in TENSORS:
        found[which].pop(name)
    if mismatched:
        found[which] |= {name: torch.ones(3, 3, 3) for name in TENSORS}
    return found


def inputs(name: str) -> tuple[list[Any], Any]:
    return [state(seed) for seed in range(model_count(name))], state(9)


@pytest.mark.parametrize("mismatched", [False, True], ids=["absent", "of another shape"])
@pytest.mark.parametrize("name", [name for name in READS_A_BASE if model_count(name) > 1])
def test_an_absent_task_vector_counts_as_zero(name, mismatched):
    """Whichever model lacks the tensor, it is as if that model had not changed it; random masks stay its own."""
    models, base = inputs(name)
    for which in range(len(models)):
        unchanged = [dict(model) for model in models]
        unchanged[which] |= {tensor: base[tensor].clone() for tensor in TENSORS}
        options = MORE.get(name, {})
        wanted = merge_states(name, unchanged, base, **options)
        found = merge_states(name, without(models, which, mismatched=mismatched), base, more=POLICY, **options)
        assert all(equal_bits(found[tensor], wanted[tensor]) for tensor in wanted)


@pytest.mark.parametrize("name", NEEDS_ALL)
def test_what_needs_all_models_is_refused_from_the_headers(name):
    models, _ = inputs(name)
    for which in range(len(models)):
        with pytest.raises(UsageError, match=r"tensor '.*': .* needs every merged tensor in all models"):
            make_plan(recipe_of(name, without(models, which), more=POLICY))


@pytest.mark.parametrize("name", [name for name in SEVERAL if not needs_base(name) and name not in NEEDS_ALL])
def test_averages_are_those_of_the_models_that_have_the_tensor(name):
    models, _ = inputs(name)
    options = PERMISSIVE.get(name, {})
    found = merge_states(name, without(models, 2), more=POLICY, **options)
    least = find_method(name).minimum_models
    if least <= 2:
        wanted = merge_states(name, models[:2], **options)
        for tensor in TENSORS:
            torch.testing.assert_close(found[tensor], wanted[tensor])
    assert all(torch.isfinite(tensor).all() for tensor in found.values())


@pytest.mark.parametrize("name", [name for name in SEVERAL if not needs_base(name) and name not in NEEDS_ALL])
def test_of_one_model_alone_its_tensor_comes_back(name):
    models, _ = inputs(name)
    few = without(without(models, 1), 2)
    found = merge_states(name, few, more=POLICY)
    for tensor in TENSORS:
        torch.testing.assert_close(found[tensor], models[0][tensor])


def test_best_k_takes_no_worse_model_in():
    one, two, three = ({"w": torch.tensor([value]), "x": torch.tensor([value])} for value in (1.0, 2.0, 4.0))
    given = [one, {"w": two["w"]}, three]
    options = {"per_model": {"score": [0.1, 0.5, 0.9]}, "more": POLICY}
    assert merge_states("best-k", given, count=3, **options)["x"].item() == 2.5
    assert merge_states("best-k", given, count=2, **options)["x"].item() == 4
    with pytest.raises(UsageError, match="'x': none of the best models has it"):
        merge_states("best-k", [one, three, {"w": two["w"]}], count=1, **options)


def test_trimmed_mean_of_too_few_is_refused():
    models = [{"w": torch.ones(1), "x": torch.ones(1)} for _ in range(3)]
    del models[0]["x"]
    with pytest.raises(UsageError, match="'x': trim"):
        merge_states("trimmed-mean", models, trim=0.5, more=POLICY)


def test_an_automatic_alpha_divides_by_all_models():
    """(1/T) ||sum tau_t||_1 / ||tau||_1 with T = 2, also where one tau is 0."""
    values = [0.0, 0.0], [1.0, 3.0], [1.0, 1.0]
    base, one, two = ({f"layers.{n}.w": torch.tensor(value) for n in range(2)} for value in values)
    base["x"], one["x"] = torch.zeros(2), torch.tensor([2.0, 2.0])
    recipe = recipe_of("task-arithmetic", [one, two], base, more=POLICY)
    then = (("lines", {"alpha": "auto", "beta": 0.0}),)
    found, _, outcome = run_recipe(replace(recipe, merge=replace(recipe.merge, then=then)))
    assert outcome.remarks == ["lines: alpha auto is 0.5"]
    assert found["x"].tolist() == [1.0, 1.0]
