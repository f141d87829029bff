"""BatchNorm statistics of which one model alone has a share are taken from it, and no warning calls them averaged."""

from __future__ import annotations

import torch
from safetensors.torch import save_file

from merge.plan import make_plan
from merge.recipe import Merge, Model, Recipe


def _saved(path, seed):
    generator = torch.Generator().manual_seed(seed)
    names = {"norm.weight": (4,), "norm.running_mean": (4,), "norm.running_var": (4,)}
    save_file({name: torch.rand(shape, generator=generator) for name, shape in names.items()}, path)
    return str(path)


def test_statistics_of_one_model_alone_are_copied(tmp_path):
    models = [Model(_saved(tmp_path / f"{seed}.st", seed), {"weight": float(seed == 0)}) for seed in range(2)]
    plan = make_plan(Recipe(Merge("soup", tuple(models))))
    try:
        actions = {row.name: row.action for row in plan.rows}
        warnings = plan.warnings
    finally:
        plan.close()
    assert actions == {"norm.weight": "merge", "norm.running_mean": "copy", "norm.running_var": "copy"}
    assert not any("averaged" in warning for warning in warnings)
