"""Stochastic rounding, saturation and counts on a stand-in for a GPU: the bytes and numbers of the CPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from checkpoint_files import assert_same
from in_memory import recipe_of, run_recipe

from merge.engine import RunSettings


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F8_E4M3", "F8_E5M2"])
@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_the_same_as_on_the_cpu(stand_in: Any, dtype: str, rounding: str) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = {"large": (300, 400), "norm": (17,), "wide": (70_000,)}
    base, a, b = ({name: torch.randn(shape, generator=generator) for name, shape in shapes.items()} for _ in range(3))
    a["norm"] *= 1e38
    b["norm"] = a["norm"]
    recipe = recipe_of("task-arithmetic", [a, b], base, dtype=dtype, weights=[0.5, 0.4])
    recipe = replace(recipe, output=replace(recipe.output, rounding=rounding, overflow="saturate"))
    (wanted, _, here), (found, _, there) = (
        run_recipe(recipe, RunSettings(threads=2, device=device, count_lost_updates=True)) for device in ("cpu", "cuda")
    )
    assert_same(found, wanted)
    assert [tally[:5] for tally in there.tallies.values()] == [tally[:5] for tally in here.tallies.values()]
    assert here.tallies["large"].changed == 120_000
    assert dtype == "BF16" or here.tallies["norm"].saturated > 10
