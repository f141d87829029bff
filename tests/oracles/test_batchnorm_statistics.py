"""BatchNorm statistics: averaged with the shares that the method gives the models, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from in_memory import merge_states, recipe_of, run_recipe

from merge.recipe import LayerRule, Merge, Model

NAME = "bn.running_var"
ONE, TWO, THREE, BASE = ({NAME: torch.tensor([value])} for value in (1.0, 2.0, 6.0, 10.0))
MODELS = [ONE, TWO, THREE]
CASES: list[tuple[str, int, dict[str, Any], float]] = [
    ("best-k", 3, {"per_model": {"score": [0.1, 0.9, 0.5]}, "count": 1}, 2.0),
    ("best-k", 3, {"per_model": {"score": [0.1, 0.9, 0.5]}, "count": 2}, 4.0),
    ("ema", 3, {"decay": 0.5}, 0.25 * 1 + 0.25 * 2 + 0.5 * 6),
    ("ema", 3, {"decay": 0.0}, 6.0),
    ("slerp", 2, {"t": 0.25}, 1.25),
    ("nuslerp", 2, {"weights": [1.0, 3.0]}, 1.75),
    ("soup", 2, {"weights": [1.5, -0.5]}, 1.5),
    ("soup", 2, {"weights": [2.0, 6.0]}, 1.75),
    ("soup", 2, {"weights": [0.0, 0.0]}, 1.5),
    ("soup", 3, {}, 3.0),
    ("median", 3, {}, 3.0),
    ("add-difference", 3, {"multiplier": 0.5}, 3.0),
]
WITH_BASE: list[tuple[str, int, dict[str, Any], float]] = [
    ("wise-ft", 1, {"alpha": 0.25}, 0.75 * 10 + 0.25 * 1),
    ("wise-ft", 1, {"alpha": 0.0}, 10.0),
    ("wise-ft", 1, {"alpha": 1.5}, 1.0),
    ("ties", 3, {"weights": [1.0, 0.0, 3.0]}, 4.75),
    ("task-arithmetic", 3, {"scale": 0.3}, 3.0),
    ("lines", 1, {}, 1.0),
]


@pytest.mark.parametrize(("method", "count", "options", "wanted"), CASES)
def test_shares(method, count, options, wanted):
    assert merge_states(method, MODELS[:count], **options)[NAME].item() == pytest.approx(wanted, abs=1e-7)


@pytest.mark.parametrize(("method", "count", "options", "wanted"), WITH_BASE)
def test_shares_beside_a_base(method, count, options, wanted):
    named = {"layers.0.w": torch.ones(1), "layers.1.w": torch.ones(1)}
    models = [model | named for model in MODELS[:count]]
    assert merge_states(method, models, BASE | named, **options)[NAME].item() == pytest.approx(wanted, abs=1e-7)


def test_the_best_models_statistics_are_taken_over_exactly():
    models = [{NAME: torch.rand(1000, generator=torch.Generator().manual_seed(seed))} for seed in range(3)]
    found = merge_states("best-k", models, per_model={"score": [0.1, 0.9, 0.5]}, count=1)
    assert torch.equal(found[NAME], models[1][NAME])


def test_shares_of_a_layer_rule():
    recipe = recipe_of("slerp", MODELS[:2], t=0.5)
    rule = LayerRule("bn.*", {"t": 1.0})
    assert run_recipe(replace(recipe, merge=replace(recipe.merge, layers=(rule,))))[0][NAME].item() == 2.0


def test_a_merge_of_merges():
    inner = Merge("slerp", (Model(ONE), Model(TWO)), options={"t": 0.25})
    assert merge_states("soup", [inner, THREE], weights=[1.0, 3.0])[NAME].item() == (1.25 + 18) / 4
    tuned = Merge("soup", (Model(ONE), Model(TWO)))
    assert merge_states("wise-ft", [tuned], BASE, alpha=0.5)[NAME].item() == 5.75


def test_shares_of_the_models_that_have_it():
    other = {"w": torch.ones(1)}
    models = [other | ONE, other, other | THREE]
    given = {"weights": [0.2, 0.3, 0.6], "more": {"missing": "average-present"}}
    assert merge_states("soup", models, **given)[NAME].item() == pytest.approx(0.25 * 1 + 0.75 * 6)
    assert merge_states("ties", models, other | BASE, **given)[NAME].item() == pytest.approx(4.75)


def test_they_are_reported():
    _, plan, _ = run_recipe(recipe_of("slerp", MODELS[:2]))
    assert any("1 BatchNorm statistics are averaged" in warning for warning in plan.warnings)
