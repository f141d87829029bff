"""The matrix arithmetic of single tensors: RegMean's equations, and the products and orders of weight matching."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from gpu_clock import Budget, Growing
from gpu_link import Link
from gpu_merges import DIFFERS, cells
from threadpoolctl import threadpool_limits

HEADINGS = ("arithmetic", "CPU s", "GPU s", "CPU / GPU", "GPU, GB/s", "of the link's", "outcomes")
MODELS = 3
NOISE = 0.5  # of planted orders, beside weights of 1
FARTHEST = 1e-9  # that solutions in float64 may be apart


class Regression(NamedTuple):
    """The weights of some models, and the Gram matrices of their inputs, in float64."""

    weights: list[Any]
    grams: list[Any]

    @classmethod
    def drawn(cls, width: int) -> Regression:
        """Return one at random: inputs that were seen, with a little of every direction."""
        random = np.random.default_rng(0)
        weights = [random.standard_normal((width, width)) for _ in range(MODELS)]
        rows = [random.standard_normal((width, width // 2)) for _ in range(MODELS)]
        return cls(weights, [each @ each.T / each.shape[1] + 0.1 * np.eye(width) for each in rows])

    def solved(self, device: str | None) -> Any:
        """Return the regressed matrix, by numpy or by torch on a device, copies to it and back included."""
        from array_api_compat import torch as torch_namespace

        from merge.arithmetic.least_squares import merge_by_grams

        shares = [1 / MODELS] * MODELS
        if device is None:
            return merge_by_grams(zip(shares, self.grams, self.weights, strict=True), 0.95, np).matrix
        sent = (map(partial(_sent, device=device), arrays) for arrays in (self.grams, self.weights))
        return merge_by_grams(zip(shares, *sent, strict=True), 0.95, torch_namespace).matrix.cpu().numpy()


def _sent(array: Any, device: str) -> torch.Tensor:
    return torch.from_numpy(array).to(device)


def regressions(device: str, link: Link, widths: Sequence[int], budget: Budget) -> Iterator[list[str]]:
    """Yield rows for RegMean of one square matrix."""
    cpu_side, gpu_side = Growing(budget, "cpu", 8), Growing(budget, device, 8)
    for width in widths:
        problem = Regression.drawn(width)
        with threadpool_limits(1, user_api="blas"):  # as a worker of a merge has it
            cpu = cpu_side.measure(partial(problem.solved, None))
            gpu = gpu_side.measure(partial(problem.solved, device))
        if cpu is None and gpu is None:
            return
        nbytes = 8 * width * width
        own = cells(cpu and cpu[0], gpu and gpu[0], 2 * MODELS * nbytes, nbytes, link)
        verdict = _distance(cpu[1], gpu[1]) if cpu and gpu else "not compared"
        yield [f"regmean, {MODELS} models, width {width}, float64", *own, verdict]


def _distance(wanted: Any, found: Any) -> str:
    distance = float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
    return f"{DIFFERS if distance > FARTHEST else ''} {distance:.0e} apart".strip()


def matchings(device: str, link: Link, widths: Sequence[int], budget: Budget) -> Iterator[list[str]]:
    """Yield rows for the products of weight matching, and for finding the order in them, which the CPU always does."""
    cpu_side, gpu_side = Growing(budget, "cpu", 8), Growing(budget, device, 8)
    for width in widths:
        one, other, order = _planted(width)
        cpu = cpu_side.measure(partial(_products, one, other, None))
        gpu = gpu_side.measure(partial(_products, one, other, device))
        if cpu is None and gpu is None:
            return
        own = cells(cpu and cpu[0], gpu and gpu[0], 2 * 4 * width * width, 8 * width * width, link)
        verdicts = [_order_found(found[1], order, budget) for found in (cpu, gpu) if found]
        verdict = next((verdict for verdict in verdicts if verdict.startswith(DIFFERS)), verdicts[0])
        yield [f"weight matching, products, width {width}", *own, verdict]


def _planted(width: int) -> tuple[Any, Any, Any]:
    """Return units, the same in another order with noise, and that order's inverse."""
    random = np.random.default_rng(0)
    one = random.standard_normal((width, width), dtype=np.float32)
    order = random.permutation(width)
    return one, one[order] + NOISE * random.standard_normal((width, width), dtype=np.float32), np.argsort(order)


def _products(one: Any, other: Any, device: str | None) -> Any:
    """Return inner products of all rows, by numpy or on a device, also where a merge would not take to one."""
    from merge.alignment.matching import products

    total = np.zeros((len(one), len(other)))
    if device is not None:
        products.add_on_gpu(total, one, other, device)
        return total
    with products.one_thread_per_product(), products.products_on("cpu"):
        products.add_products(total, one, other)
    return total


def _order_found(similarity: Any, order: Any, budget: Budget) -> str:
    from merge.alignment.matching.assignment import assign

    seconds, found = budget.once(partial(assign, similarity, np.arange(len(order))), "cpu")
    same = np.array_equal(found, order)
    return f"planted order found, by the CPU in {seconds:.2f} s" if same else f"{DIFFERS}: not the planted order"
