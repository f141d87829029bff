"""Two checkpoints, Gram matrices of them, and what the files of these state."""

from __future__ import annotations

import torch

from merge.calibration.facts import Facts

NAMES = {"q.weight": (6, 4), "k.weight": (3, 4), "conv.weight": (5, 2, 3, 3), "proj": (4, 6), "bias": (6,)}


def state(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in NAMES.items()}


def gram(inputs: int, seed: int) -> torch.Tensor:
    rows = torch.randn(3 * inputs, inputs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return rows.T @ rows / len(rows)


def grams(seed: int) -> dict[str, torch.Tensor]:
    return {"q.weight": gram(4, seed), "conv.weight": gram(18, seed), "proj": gram(4, seed + 9)}


FACTS = Facts(
    "gram",
    aliases={"k.weight": "q.weight"},
    layout={"proj": "in_out", "conv.weight": "convolution"},
    rows={"q.weight": 12, "conv.weight": 54, "proj": 12},
    about={"seed": 3},
)

REGMEAN = ("regmean", "a.st", "b.st", "-o", "out.st")
BOTH = ("--gram", "gram-a.st", "--gram", "gram-b.st")


def facts(**more: object) -> Facts:
    return Facts(**{"kind": "gram", "layout": FACTS.layout, **more})  # type: ignore[arg-type]
