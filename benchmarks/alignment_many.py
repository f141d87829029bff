"""Measures what goes beyond a pair of aligned models, on the bundled digits, through the command line.

Run it from a checkout: ``python benchmarks/alignment_many.py``. Four independently trained networks are brought into
one order in every way that there is; pairs that weight matching leaves apart are matched by gradients; networks are
merged in part, at several budgets (PLeaS); and task vectors are scaled by learned coefficients (aTLAS). It prints the
tables of docs/many-models-numbers.md. ``--quick`` trains and merges as little as possible: does everything work?
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from alignment_many_basin import four_models, hard_pairs
from alignment_many_partial import budgets
from alignment_many_scaling import scaled
from alignment_many_tables import Findings, Size, table, verdicts
from table import machine

FULL = Size()
QUICK = Size(epochs=1, images=256, width=32, points=3, sets=((1, 2, 3),), pairs=((1, 2),), seeds=(0,), quick=True)
PARTS: tuple[Callable[[Path, Size, Findings], None], ...] = (four_models, hard_pairs, budgets, scaled)


def main() -> None:
    """Run every part and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="hardly train: does everything work?")
    size = QUICK if parser.parse_args().quick else FULL
    torch.set_num_threads(1)  # the products are small, and sums come out the same on any machine
    about, started = machine(), time.perf_counter()  # the load before the work
    found = Findings()
    for part in PARTS:
        with tempfile.TemporaryDirectory() as folder:
            part(Path(folder), size, found)
        print(f"{part.__name__.replace('_', ' ')}: done", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - started
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "scikit-learn", "scipy"))
    print(f"```\n{shlex.join(['python', 'benchmarks/alignment_many.py', *sys.argv[1:]])}\n```\n")
    print(f"{about} {libraries}. {seconds:.0f} seconds, one thread.\n")
    print("\n\n".join(sections(found)))


def sections(found: Findings) -> Iterator[str]:
    """Yield the tables under their headings."""
    for heading, (headings, rows) in found.tables.items():
        yield f"### {heading}\n\n{table(headings, rows)}"
    yield f"### What was wanted\n\n{table(('what', 'wanted', 'found', ''), list(verdicts(found)))}"


if __name__ == "__main__":
    main()
