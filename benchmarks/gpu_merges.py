"""Whole merges of models in memory, on the processor and on a GPU: soup, TIES, TSV-M."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from gpu_clock import Budget, Growing, seconds_of
from gpu_link import Link, gigabytes

State = dict[str, torch.Tensor]
HEADINGS = ("merge", "CPU s", "GPU s", "CPU / GPU", "GPU, GB/s", "of the link's", "outcomes")
ROWS = 4096
DIFFERS = "DIFFERS"  # begins what is said of an outcome that is not the processor's
MATRICES = 4  # of one width: as many as decompositions can go on side by side


class Outcome(NamedTuple):
    """What a merge gave.

    Attributes:
        tensors: By name; none where its bytes were thrown away.
        identity: Content id of all of them.
        read, written: Bytes.
    """

    tensors: Mapping[str, torch.Tensor]
    identity: str
    read: int
    written: int


def merged(method: str, models: Sequence[State], base: State | None, device: str, *, keep: bool = True) -> Outcome:
    """Merge models in memory, keep the outcome there or throw it away once its content id is known."""
    from merge.checkpoints.writer import NullSink
    from merge.engine import RunSettings, run
    from merge.in_memory import run_in_memory
    from merge.plan import make_plan
    from merge.recipe import Merge, Model, Recipe

    plan = make_plan(Recipe(Merge(method, tuple(map(Model, models)), None if base is None else Model(base))))
    try:
        how = RunSettings(device=device)
        tensors, outcome = run_in_memory(plan, how) if keep else ({}, run(plan, NullSink(), how))
        return Outcome(tensors, outcome.output_id, plan.bytes_read, plan.bytes_written)
    finally:
        plan.close()


def elementwise(device: str, link: Link, megabytes: int, runs: int) -> Iterator[list[str]]:
    """Yield rows for methods that work entry by entry."""
    rows = max(1, megabytes * 2**20 // (8 * 2 * ROWS))
    base, *models = (_state({f"w{number}": (rows, ROWS) for number in range(8)}, seed) for seed in range(4))
    for method, chosen, own_base in (("soup", models[:2], None), ("ties", models, base)):
        ways = [partial(merged, method, chosen, own_base, where, keep=False) for where in ("cpu", device)]
        cpu, gpu = (way() for way in ways)
        seconds = [seconds_of(way, where, runs) for way, where in zip(ways, ("cpu", device), strict=True)]
        what = f"{method}, {len(chosen)} models{' and a base' if own_base else ''} of {megabytes} MiB"
        verdict = "the same bytes" if cpu.identity == gpu.identity else f"{DIFFERS}: other bytes"
        yield [what, *cells(seconds[0], seconds[1], gpu.read, gpu.written, link), verdict]


def matrices(device: str, link: Link, widths: Sequence[int], budget: Budget) -> Iterator[list[str]]:
    """Yield rows for TSV-M of square matrices, ever larger ones as long as they can be afforded."""
    cpu_side, gpu_side = Growing(budget, "cpu", 8), Growing(budget, device, 8)
    for width in widths:
        base, *models = (_state({f"w{n}": (width, width) for n in range(MATRICES)}, seed) for seed in range(4))
        cpu = cpu_side.measure(partial(merged, "tsv-m", models, base, "cpu"))
        gpu = gpu_side.measure(partial(merged, "tsv-m", models, base, device))
        moved = gpu or cpu
        if moved is None:
            return
        verdict = within_one_rounding(cpu[1].tensors, gpu[1].tensors) if cpu and gpu else "not compared"
        own = cells(cpu and cpu[0], gpu and gpu[0], moved[1].read, moved[1].written, link)
        yield [f"tsv-m, 3 models and a base, {MATRICES} matrices of width {width}", *own, verdict]


def cells(cpu: float | None, gpu: float | None, sent: int, fetched: int, link: Link) -> list[str]:
    """Return the cells of a row between its name and its verdict."""
    seconds = ["too long" if each is None else f"{each:.3f}" for each in (cpu, gpu)]
    ratio = f"{cpu / gpu:.2f}" if cpu and gpu else ""
    if gpu is None:
        return [*seconds, ratio, "", ""]
    return [*seconds, ratio, gigabytes((sent + fetched) / gpu), f"{link.least_seconds(sent, fetched) / gpu:.0%}"]


def within_one_rounding(wanted: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> str:
    """Return whether outcomes are neighbours in their type."""
    for name, tensor in wanted.items():
        one, other = tensor.double(), found[name].double()
        step = torch.finfo(tensor.dtype).eps
        near = (one - other).abs() <= step * (torch.maximum(one.abs(), other.abs()) + float(one.abs().max()) / 64)
        if not near.all():
            return f"{DIFFERS}: {int((~near).sum())} entries of {name} are farther than a rounding from the CPU's"
    return "within one rounding"


def _state(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Any]:
    """Return a base (seed 0) or a model tuned from it, in bfloat16."""
    state = {}
    for number, (name, shape) in enumerate(shapes.items()):
        base = torch.randn(shape, generator=torch.Generator().manual_seed(number))
        if seed:
            base += 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(1000 * seed + number))
        state[name] = base.to(torch.bfloat16)
    return state
