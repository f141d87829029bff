"""Small models, and recipes that round their merges stochastically."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from checkpoint_files import save
from in_memory import recipe_of, run_recipe

from merge.engine import RunSettings
from merge.recipe import Recipe

SIZES = {"a": 200_001, "b": 17, "c": 65_536, "d": 90_000} | {f"layers.{number}.norm": 999 for number in range(40)}


def models(folder: Path, dtype: torch.dtype = torch.bfloat16, count: int = 3) -> list[str]:
    """Write models whose small tensors lie side by side, so that they are processed as one."""
    found = []
    for seed in range(count):
        generator = torch.Generator().manual_seed(seed)
        state = {name: torch.randn(size, generator=generator).to(dtype) for name, size in SIZES.items()}
        found.append(str(save(folder / f"{seed}.st", state)))
    return found


def recipe(paths: list[str], method: str = "task-arithmetic", dtype: str | None = None, seed: int = 0) -> Recipe:
    base = None if method == "soup" else paths[0]
    return with_output(recipe_of(method, paths[1:3], base, dtype=dtype, more={"seed": seed}), rounding="stochastic")


def with_output(asked: Recipe, **changes: Any) -> Recipe:
    return replace(asked, output=replace(asked.output, **changes))


def outcome(found: Recipe, **settings: Any) -> dict[str, torch.Tensor]:
    return run_recipe(found, RunSettings(**{"threads": 1, **settings}))[0]
