"""What one look at a network tells of what follows its last block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from sequential_case import Data, run
from torch import nn

from merge.calibration.sequential.stacks import find_stacks

WIDTH = 4


class Pooled(nn.Module):
    """Blocks, then attention as SigLIP's head has it, whose output layer is never called as a module."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.blocks = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.pool = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.head = nn.Linear(WIDTH, 3)
        nn.init.normal_(self.pool.out_proj.bias)
        nn.init.normal_(self.pool.in_proj_bias)
        self.double()

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.head(self.pool(x, x, x)[0])


def test_each_models_own_bias_runs_behind_the_blocks(tmp_path: Path) -> None:
    models, rows = [Pooled(1), Pooled(2)], [torch.randn(5, 3, WIDTH).double() for _ in range(2)]
    found = run(tmp_path, models, [Data(Pooled, {"x": x}) for x in rows])
    for model, x, grams in zip(models, rows, found.grams, strict=True):
        merged = Pooled()
        own = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("blocks.")}
        blocks = {name: tensor for name, tensor in found.tensors.items() if name.startswith("blocks.")}
        merged.load_state_dict(own | blocks)
        for block in merged.blocks:
            x = block(x)
        inputs = merged.pool(x, x, x)[0].flatten(0, 1)
        torch.testing.assert_close(grams["head.weight"], inputs.T @ inputs / len(inputs))


class Stage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(WIDTH, WIDTH)])


@pytest.mark.parametrize(("block", "unit"), [(Stage, "stages"), (lambda: nn.Linear(WIDTH, WIDTH), "blocks")])
def test_stages_are_called_so(block: Any, unit: str) -> None:
    network = nn.Module()
    network.layers = nn.ModuleList([block(), block()])
    (stack,) = find_stacks(network, "network")
    assert (stack.name, stack.unit) == ("layers", unit)
