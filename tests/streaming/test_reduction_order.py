"""Reductions run in one order for all tensors, whichever of them a tensor needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from in_memory import recipe_of, run_recipe

from merge.recipe import LayerRule, Merge, Model

NAMES = ("layers.0.w", "layers.1.w", "layers.2.w")
FIRST, LAST = LayerRule("layers.0.*"), LayerRule("layers.2.*")


def states(count: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [{name: torch.randn(12, 5, generator=generator) for name in NAMES} for _ in range(count)]


def reversed_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: state[name] for name in reversed(list(state))}


def ruled(rule: LayerRule, **options: Any) -> tuple[LayerRule, ...]:
    return (replace(rule, options=options),)


def nested(method: str, states_: list[Any], **more: Any) -> Merge:
    return Merge(method, tuple(map(Model, states_)), **more)


def inner(outer: str, options: dict[str, Any], method: str, rule: LayerRule, own: dict[str, Any], **ruled_: Any) -> Any:
    """Return what makes a merge of two merges, whose tensors need other reductions in some places."""

    def make(models: list[Any], base: Any) -> Merge:
        parts = [nested(method, pair, options=own, layers=ruled(rule, **ruled_)) for pair in (models[:2], models[2:])]
        return Merge(outer, tuple(map(Model, parts)), Model(base), options)

    return make


def flat(method: str, options: dict[str, Any], layers: tuple[LayerRule, ...] = (), then: Any = ()) -> Any:
    def make(models: list[Any], base: Any) -> Merge:
        return Merge(method, tuple(map(Model, models)), Model(base), options, layers, then)

    return make


LINES = (("lines", {"alpha": "auto", "beta": 0.5}),)
CASES = {
    "sce, selected in some": flat("sce", {}, ruled(LAST, select_topk=0.3)),
    "sce, selected in most": flat("sce", {"select_topk": 0.3}, ruled(FIRST, select_topk=1.0)),
    "sce over depth": flat("sce", {"select_topk": [1.0, 0.5]}),
    "ties then lines": flat("ties", {"density": 0.3}, ruled(FIRST, density=1.0), LINES),
    "model-stock of ties": inner("model-stock", {}, "ties", FIRST, {"density": 0.3}, density=1.0),
    "nuslerp of model-stock": inner("nuslerp", {}, "model-stock", FIRST, {}, filter_wise=True),
    "nuslerp of model-stock, the last": inner("nuslerp", {}, "model-stock", LAST, {}, filter_wise=True),
}


@pytest.mark.parametrize("case", CASES)
def test_the_order_of_the_tensors_changes_nothing(case):
    *models, base = states(5)
    forwards, backwards = (
        run_recipe(replace(recipe_of("soup", models), merge=CASES[case]([turn(m) for m in models], turn(base))))[0]
        for turn in (dict, reversed_names)
    )
    assert list(forwards) == list(reversed(backwards))
    for name in NAMES:
        torch.testing.assert_close(forwards[name], backwards[name])
