"""Measures merging on an NVIDIA GPU beside the processor, in one call of at most ten minutes.

Run it from a checkout: ``python benchmarks/gpu.py``. It measures the link and the memories; merges models in memory by
soup, TIES and TSV-M; and solves RegMean's equations and weight matching's products for widths of 1024 to 8192, until
the next width would take too long. Every outcome is compared with the processor's. It prints tables. ``--quick`` takes
small inputs: does everything work? ``--device cpu`` runs the same code without a GPU; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import gpu_matrices
import gpu_merges
import torch
from alignment_tables import table
from gpu_clock import Budget
from gpu_link import SIZES, first_use, measure_link
from table import machine


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        megabytes: Of one model that is merged entry by entry.
        widths: Of square matrices.
        copies: Megabytes of the copies that measure the link.
        runs: Of what is fast.
        seconds: For everything that grows.
        each: For one measurement of it.
    """

    megabytes: int
    widths: tuple[int, ...]
    copies: tuple[int, ...]
    runs: int
    seconds: float
    each: float


FULL = Size(1024, (1024, 2048, 4096, 8192), SIZES, 3, 400, 60)
QUICK = Size(8, (32, 64), (1, 2), 1, 60, 10)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything, print every table as soon as it is there, and fail where an outcome differs."""
    chosen = _parser().parse_args(arguments)
    _check(chosen.device)
    size, about, started = QUICK if chosen.quick else FULL, machine(), time.perf_counter()  # the load before the work
    given = sys.argv[1:] if arguments is None else arguments
    print(f"```\n{shlex.join(['python', 'benchmarks/gpu.py', *given])}\n```\n")
    print(f"{about} {_device(chosen.device)}, torch {torch.__version__}.\n")
    if chosen.device == "cpu":
        print("**Without a GPU: both sides ran on the processor, so that these numbers mean nothing.**\n")
    found = []
    for section in sections(chosen.device, size):
        print(f"{section}\n", flush=True)
        found.append(section)
    print(f"{time.perf_counter() - started:.0f} seconds.")
    if any(gpu_merges.DIFFERS in section for section in found):
        sys.exit("some outcomes are not the processor's")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda:0", help="cuda:N, or cpu: does the code run?")
    parser.add_argument("--quick", action="store_true", help="small inputs: does everything work?")
    return parser


def _check(device: str) -> None:
    number = int(device.partition(":")[2] or 0)
    if device != "cpu" and (not device.startswith("cuda") or number >= torch.cuda.device_count()):
        here = f"{torch.cuda.device_count()} CUDA devices are visible to torch {torch.__version__}"
        sys.exit(f"this needs an NVIDIA GPU, and '{device}' is none: {here}. --device cpu runs the code without one.")


def _device(device: str) -> str:
    if device == "cpu":
        return "No GPU"
    properties = torch.cuda.get_device_properties(device)
    return f"{properties.name} with {properties.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}"


def sections(device: str, size: Size) -> Iterator[str]:
    """Yield the tables under their headings."""
    begun = ["first use of the device after importing torch, s", f"{first_use(device):.2f}"]
    link, rates = measure_link(device, size.runs, size.copies)
    yield f"### The link and the memories\n\n{table(('what', 'GB/s'), [*rates, begun])}"
    rows = list(gpu_merges.elementwise(device, link, size.megabytes, size.runs))
    yield f"### Methods that work entry by entry, in memory\n\n{table(gpu_merges.HEADINGS, rows)}"
    budget = Budget(size.seconds, size.each)
    rows = list(gpu_merges.matrices(device, link, size.widths, budget))
    yield f"### A method that decomposes matrices, in memory\n\n{table(gpu_merges.HEADINGS, rows)}"
    rows = list(gpu_matrices.regressions(device, link, size.widths, budget))
    rows += gpu_matrices.matchings(device, link, size.widths, budget)
    yield f"### Matrix arithmetic of one tensor\n\n{table(gpu_matrices.HEADINGS, rows)}"


if __name__ == "__main__":
    main()
