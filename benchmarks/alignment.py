"""Measures what permutation alignment reaches, on the bundled digits and on problems with a known answer.

Run it from a checkout: ``python benchmarks/alignment.py``. It trains pairs of small networks from different seeds,
brings the second one's units into the first one's order, and follows the path between them; it plants permutations and
looks for them; and it measures seconds and memory of matching large models. It prints tables. ``--quick`` trains and
matches as little as possible: does everything work?
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version

import torch
from alignment_cases import FULL, QUICK, Findings, Run, verdicts
from alignment_tables import COST, MANY, PAIRS, PLANTED, RESNETS, THRESHOLDS, WAYS, table
from table import machine


def main() -> None:
    """Run everything and print the tables."""
    arguments = _arguments()
    torch.set_num_threads(1)  # the products are small, and sums come out the same on any machine
    about, started = machine(), time.perf_counter()  # the load before the work
    size = QUICK if arguments.quick else FULL
    found = Run(size).everything()
    seconds = time.perf_counter() - started
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "scikit-learn", "scipy"))
    print(f"```\n{shlex.join(['python', 'benchmarks/alignment.py', *sys.argv[1:]])}\n```\n")
    print(f"{about} {libraries}. {seconds:.0f} seconds, one thread.\n")
    if arguments.quick:
        print(f"Hardly trained: {size.epochs} epoch, hidden layers of {size.width} units at most.\n")
    print("\n\n".join(sections(found)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="hardly train: does everything work?")
    return parser.parse_args()


def sections(found: Findings) -> Iterator[str]:
    """Yield the tables under their headings."""
    yield f"### Perceptrons, by weight matching\n\n{table(PAIRS, found.pairs)}"
    yield f"### The same pairs, matched in other ways: midpoint, test barrier\n\n{table(WAYS, found.ways)}"
    yield f"### ResNets with BatchNorm\n\n{table(RESNETS, found.resnets)}"
    yield f"### More than two models\n\n{table(MANY, found.many)}"
    yield f"### Planted permutations in a residual network\n\n{table(PLANTED, found.planted)}"
    if found.costs:
        yield f"### Cost of weight matching\n\n{table(COST, found.costs)}"
    yield f"### What was wanted\n\n{table(THRESHOLDS, list(verdicts(found.numbers)))}"


if __name__ == "__main__":
    main()
