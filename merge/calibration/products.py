"""The functions of torch that multiply by a matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .facts import IN_OUT

OUT_IN = "out_in"  # a Linear's own form, which statistics files leave unsaid


class Product(NamedTuple):
    """Which arguments of a function are multiplied, and how a weight is stored that is used as it is."""

    arguments: tuple[str, ...]
    inputs: str
    weight: str
    layout: str


def products() -> dict[Callable[..., Any], Product]:
    """Return the functions that multiply by a matrix; ``x @ w`` is `Tensor.matmul`."""
    import torch
    from torch import Tensor
    from torch.nn import functional

    linear = Product(("input", "weight"), "input", "weight", OUT_IN)
    matmul = Product(("input", "other"), "input", "other", IN_OUT)
    mm = Product(("input", "mat2"), "input", "mat2", IN_OUT)
    addmm = Product(("input", "mat1", "mat2"), "mat1", "mat2", IN_OUT)
    found: dict[Callable[..., Any], Product] = {functional.linear: linear}
    found |= {torch.matmul: matmul, Tensor.matmul: matmul, Tensor.__matmul__: matmul}
    return found | {torch.mm: mm, Tensor.mm: mm, torch.addmm: addmm, Tensor.addmm: addmm}
