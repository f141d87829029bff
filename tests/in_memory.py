"""Merge state dicts in memory through planner and engine, without the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from made_statistics import statistics_of

from merge.checkpoints.writer import MemorySink
from merge.dtypes import torch_dtype
from merge.engine import Outcome, RunSettings, run
from merge.plan import Plan, make_plan
from merge.planning.layout import nbytes_of
from merge.recipe import Merge, Model, Output, Recipe

State = Mapping[str, torch.Tensor]
# Per-model options that have no default: what they are where a test gives nothing.
REQUIRED_OPTIONS: dict[str, dict[str, Any]] = {"best-k": {"score": 0.5}}


def recipe_of(
    method: str,
    models: Sequence[State | Merge | str],
    base: State | str | None = None,
    *,
    weights: Sequence[float] | None = None,
    per_model: Mapping[str, Any] | None = None,
    dtype: str | None = None,
    more: Mapping[str, Any] | None = None,
    **options: Any,
) -> Recipe:
    """Return a recipe; ``per_model`` holds lists or one value for all, ``more`` further fields of `Recipe`."""
    beside = (
        REQUIRED_OPTIONS.get(method, {})
        | dict(per_model or {})
        | ({"weight": list(weights)} if weights is not None else {})
    )
    given = [
        {name: value[number] if isinstance(value, list) and value else value for name, value in beside.items()}
        for number in range(len(models))
    ]
    members = tuple(
        Model(model, own, statistics=statistics_of(method, model, number))
        for number, (model, own) in enumerate(zip(models, given, strict=True))
    )
    merge = Merge(method, members, None if base is None else Model(base), options)
    return Recipe(merge, output=Output(dtype=dtype), **(more or {}))


def merge_states(method: str, models: Sequence[Any], base: Any = None, *, settings: Any = None, **more: Any) -> State:
    """Merge and return the outcome as tensors."""
    return run_recipe(recipe_of(method, models, base, **more), settings or RunSettings(threads=1))[0]


def run_recipe(recipe: Recipe, settings: RunSettings | None = None) -> tuple[dict[str, torch.Tensor], Plan, Outcome]:
    """Run a recipe into memory."""
    plan = make_plan(recipe)
    try:
        sink = MemorySink(plan.files)
        outcome = run(plan, sink, settings or RunSettings(threads=1))
        found = {row.name: _tensor(row, sink) for row in plan.rows if row.action != "check"}
        return found, plan, outcome
    finally:
        plan.close()


def _tensor(row: Any, sink: MemorySink) -> torch.Tensor:
    dtype = torch_dtype(row.dtype)
    raw = bytearray(sink.bytes_of(row, nbytes_of(row.dtype, row.shape)))
    return torch.frombuffer(raw, dtype=dtype).reshape(row.shape) if raw else torch.empty(row.shape, dtype=dtype)
