"""What every method of the registry is run with in the laws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from merge.registry import find_method, method_names

# Of a method that computes its statistics itself, or aligns models, the merge is another method's, which is among them;
# one that assembles models computes nothing; one that widens reads what was computed.
METHODS = [
    name
    for name in method_names()
    if not any(getattr(find_method(name), what) for what in ("sequential", "aligns", "assembles", "widens"))
]
# Options with which a method gives back its input when all models are one; an average with weights 1/k always does.
NEUTRAL: dict[str, dict[str, Any]] = {
    "ties": {"density": 1.0},
    "dare": {"density": 1.0},
    "lines": {"alpha": 1.0},
    "breadcrumbs": {"density": 1.0},
    "della": {"density": 1.0},
    "nearswap": {"t": 100.0},
    "ram": {"epsilon": 0.0},
    "wise-ft": {"alpha": 1.0},
    "magmax": {"scale": 1.0},
    "prune": {"sparsity": 0.0},
}
# Methods that take over only a part of a task vector, or change its spectrum, whatever their options.
PARTIAL = {"arcee-fusion", "atlas", "tsv-m", "iso-c", "iso-cts"}
# Methods that numpy and torch compute alike but for the last bits: their factors follow from sums in float64, which
# the two add up in another order, or from exponentials.
APPROXIMATE = {"arcee-fusion", "fisher", "karcher", "model-stock", "multislerp", "nuslerp", "regmean", "sce"}
# Methods that solve equations: of 64-bit inputs, for which nothing is wider, some last bits do not come back.
SOLVED = {"regmean"}
# Methods with a norm or ranks over the checkpoint, so that a tensor depends on the others.
OVER_ALL = {"fisher", "prune"}
# Options with which a method takes any inputs, zeros in different places included.
PERMISSIVE: dict[str, dict[str, Any]] = {"sparse-soup": {"require_same_mask": False}}
# Methods whose outcome depends on the order of the models by more than the last bits of sums.
ORDERED = {name for name in METHODS if find_method(name).ordered}
# Close singular values enlarge the last bits of sums; their own tests compare orders less closely.
ORDERED |= {"tsv-m", "iso-c", "iso-cts"}
# The statistics that these tests make belong to a place among the models, not to a model.
ORDERED |= {"regmean", "atlas"}


def needs_base(name: str) -> bool:
    return find_method(name).needs_base


def model_count(name: str, wanted: int = 3) -> int:
    method = find_method(name)
    wanted = max(wanted, method.minimum_models)
    return wanted if method.maximum_models is None else min(wanted, method.maximum_models)


def shares(name: str, count: int) -> Sequence[float] | None:
    """Return weights that sum to 1, where the method's own weights do not."""
    option = find_method(name).options.declarations.get("weight")
    return [1 / count] * count if option is not None and not callable(option.default) else None


def state(seed: int, dtype: torch.dtype = torch.bfloat16, spread: float = 1.0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"embed": (30, 8), "layers.0.w": (8, 24), "layers.0.b": (24,), "layers.1.w": (8, 24), "layers.1.b": (24,)}
    shapes |= {"scale": (), "none": (0, 4), "long": (70_001,)}
    return {n: (torch.randn(s, generator=generator, dtype=torch.float64) * spread).to(dtype) for n, s in shapes.items()}
