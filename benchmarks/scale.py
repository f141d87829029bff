"""Measures what `merge` does beyond one machine and one process: stores, workers, Ray, and a model of more of them.

Run it from a checkout: ``python benchmarks/scale.py``. It makes its inputs in a temporary folder, runs the cases in
turn, prints a section with a table for each, and removes what it made. It measures and does not judge: the exit code is
0 whatever the figures.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from inputs import Inputs
from scale_model import Assumed, weak_scaling
from scale_ray import ray
from scale_store import lacking, store
from scale_table import Section
from scale_workers import workers
from table import machine

CASES = ("store", "workers", "ray", "weak-scaling")
_SMALL = 0.1  # gigabytes
_USUAL: dict[str, float] = {"gigabytes": 1.0, "runs": 1, "rate": 100.0, "shards": 200, "seconds": 0.5}
_QUICK: dict[str, float] = {"gigabytes": 0.02, "runs": 1, "rate": 200.0, "shards": 8, "seconds": 0.05}


def main(words: Sequence[str]) -> None:
    """Run the cases that the command line asks for."""
    options = _options(words)
    about = machine()
    print(about, end="\n\n", flush=True)
    assumed = Assumed(options.link, options.shared, options.per_machine)
    found: list[Section] = []
    for case in (case for case in CASES if case in options.case):
        print(f"scale.py: {case}", file=sys.stderr, flush=True)
        if case == "ray":
            section, task = ray(options.shards, options.seconds, options.runs)
            assumed = assumed if task is None else assumed._replace(task=task, origin="of Ray, measured here")
        else:
            section = _run(case, options, assumed)
        print(section.text(), flush=True)
        found.append(section)
    if options.markdown:
        head = f"{about}\n\n```\n{_command(options)}\n```\n"
        options.markdown.write_text("\n".join([head, *(section.text() for section in found)]), encoding="utf-8")


def _run(case: str, options: argparse.Namespace, assumed: Assumed) -> Section:
    with tempfile.TemporaryDirectory(prefix="merge-benchmark-", dir=options.folder) as folder:
        inputs = Inputs(Path(folder) / "inputs", options.gigabytes)
        if case == "store":
            return store(inputs, options.rate, options.runs)
        if case == "weak-scaling":
            return weak_scaling(inputs, assumed, options.runs)
        small = Inputs(Path(folder) / "small", min(_SMALL, options.gigabytes))
        return workers(inputs, small, options.runs, os.cpu_count() or 1)


def _command(options: argparse.Namespace) -> str:
    """Return the command that measures this again, without the folders of this machine."""
    words = ["python", "benchmarks/scale.py", "--gigabytes", f"{options.gigabytes:g}", "--runs", str(options.runs)]
    if set(options.case) != set(CASES):
        words += ["--case", *options.case]
    return shlex.join(words)


def _absolute(text: str) -> Path:
    return Path(text).absolute()  # what is measured runs in another folder


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", nargs="+", choices=CASES, default=CASES, help="what to measure (default: all)")
    parser.add_argument("--gigabytes", type=float, help="size of one bfloat16 input, in 10^9 bytes (default: 1)")
    parser.add_argument(
        "--runs", type=int, help="runs of each row (default: 1; the store alone takes 2 minutes at 1 GB)"
    )
    parser.add_argument("--rate", type=float, help="MB/s of the link to the store (default: 100)")
    parser.add_argument("--shards", type=int, help="pieces of work for Ray (default: 200)")
    parser.add_argument("--seconds", type=float, help="simulated work of each (default: 0.5)")
    parser.add_argument("--link", type=float, default=3.0, help="model: GB/s of a machine's link (default: 3)")
    parser.add_argument("--shared", type=float, default=50.0, help="model: GB/s of a store for all (default: 50)")
    parser.add_argument("--per-machine", type=int, default=16, help="model: workers of a machine (default: 16)")
    parser.add_argument("--folder", type=_absolute, help="where the temporary folder is made")
    parser.add_argument("--markdown", type=Path, help="also write sections for docs/performance.md to this file")
    parser.add_argument("--quick", action="store_true", help="little of everything, to see that it works")
    options = parser.parse_args(words)
    for name, value in (_QUICK if options.quick else _USUAL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.gigabytes < 0.01 or options.runs < 1 or options.rate <= 0:
        parser.error("--gigabytes must be at least 0.01, --runs at least 1 and --rate more than 0")
    if "store" in options.case and (tool := lacking()):
        parser.error(f"the store case needs {tool}")
    return options


if __name__ == "__main__":
    main(sys.argv[1:])
