"""Random models of all shapes that matter, and the comparison of a merge with a reference in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from in_memory import merge_states

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
SHAPES = {
    "matrix": (12, 7),
    "wide": (5, 16),
    "square": (20, 20),
    "column": (9, 1),
    "row": (1, 6),
    "vector": (11,),
    "one": (1, 1),
    "scalar": (),
    "kernel": (4, 3, 2, 2),
}
Array = np.ndarray


def random_states(count: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> list[dict[str, torch.Tensor]]:
    """Return different models."""
    generator = torch.Generator().manual_seed(seed)
    return [
        {name: torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for name, shape in SHAPES.items()}
        for _ in range(count)
    ]


def numbers(tensor: torch.Tensor) -> Array:
    return tensor.to(torch.float64).numpy()


def compare(
    method: str,
    reference: Callable[[Sequence[Array]], Array],
    dtype: torch.dtype,
    number: int = 3,
    *,
    base: bool = False,
    roundings: int = 100,
    **options: Any,
) -> None:
    """Compare every tensor of a merge with the reference, which is called with task vectors where there is a base."""
    start, *models = random_states(number + 1, dtype)
    found = merge_states(method, models, start if base else None, **options)
    for name in SHAPES:
        zero = numbers(start[name]) if base else 0.0
        wanted = torch.from_numpy(np.asarray(reference([numbers(model[name]) - zero for model in models]) + zero))
        assert found[name].dtype == dtype
        close(found[name].to(torch.float64), wanted, dtype, roundings)


def close(found: torch.Tensor, wanted: torch.Tensor, dtype: torch.dtype, roundings: int = 100) -> None:
    """Assert equality up to rounding to the type, and so many roundings near 1 of the type that is computed in."""
    computed = torch.float32 if dtype.itemsize == 2 else torch.float64
    torch.testing.assert_close(found, wanted, rtol=torch.finfo(dtype).eps, atol=roundings * torch.finfo(computed).eps)


def svd(matrix: Array, rank: int) -> tuple[Array, Array, Array]:
    """Return the strongest singular triples, directions as columns."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    return left[:, :rank], values[:rank], right[:rank].T


def procrustes(matrix: Array) -> Array:
    """Return the nearest matrix with orthonormal columns, or rows where it is wide."""
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    return left @ right


def of_rank(rank: int, shape: tuple[int, int], generator: np.random.Generator) -> Array:
    return generator.standard_normal((shape[0], rank)) @ generator.standard_normal((rank, shape[1]))


def merged_matrix(method: str, vectors: Sequence[Array], **more: Any) -> Array:
    """Merge task vectors over a base of zeros."""
    models = [{"w": torch.from_numpy(np.ascontiguousarray(vector))} for vector in vectors]
    return merge_states(method, models, {"w": torch.zeros_like(models[0]["w"])}, **more)["w"].numpy()
