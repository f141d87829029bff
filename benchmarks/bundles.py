"""Measures what merging at inference time costs: T3 with a weight for every sample, and with one for a batch.

Run it from a checkout: ``python benchmarks/bundles.py``. Two networks of random weights are run as they are and merged,
in turn, in one process for each kind of network; memory is measured in two more. It prints tables. ``--quick`` takes
shallow networks and small batches: does everything work?
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version

from alignment_tables import table
from bundles_cost import Cost, cost
from bundles_networks import SUBJECTS
from table import machine

_MOST_FORWARDS, _MOST_MODELS = 5.0, 2.5
_TIMES = ("network", "way", "one forward, s", "merged per sample", "T3", "merged per batch", "T3_B")
_MEMORY = ("network", "one model, MB", "with a forward, MB", "both with T3, MB", "models beyond activations")
_WANTED = ("what", "wanted", "found at most", "")
_NOTES = """\
A forward is that of one model on the batch, and all else is given in forwards. T3 is both members' forwards and the
merged one, T3_B the same with one weight for the whole batch. Activations are what one model and its forward hold at
the peak, less the model. On the CPU seconds are CPU seconds."""


def main() -> None:
    """Measure everything and print the tables."""
    arguments = _arguments()
    about, started = machine(), time.perf_counter()  # the load before the work
    batch, size = (8, "QUICK") if arguments.quick else (arguments.batch, "FULL")
    runs = 1 if arguments.quick else arguments.runs
    costs = {}
    for name in [name for name in SUBJECTS if arguments.only.lower() in name.lower()]:
        costs[name] = cost(name, batch, runs, arguments.device, size)
        print(f"{name}: T3 {costs[name].t3:.2f} forwards, {costs[name].models:.2f} models", file=sys.stderr)
    seconds = time.perf_counter() - started
    print(f"```\n{shlex.join(['python', 'benchmarks/bundles.py', *sys.argv[1:]])}\n```\n")
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "timm", "open_clip_torch"))
    print(f"{about} {libraries}; device {arguments.device}. Batches of {batch}, rounds: {runs}; {seconds:.0f} s.\n")
    print("\n\n".join(sections(costs)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128, help="samples in a batch")
    parser.add_argument("--runs", type=int, default=3, help="rounds; the median counts")
    parser.add_argument("--device", default="cpu", help="cpu or cuda[:N]")
    parser.add_argument("--only", default="", metavar="WORD", help="networks with this word in their names")
    parser.add_argument("--quick", action="store_true", help="as little as possible: does everything work?")
    return parser.parse_args()


def sections(costs: Mapping[str, Cost]) -> Iterator[str]:
    """Yield the tables under their headings."""
    yield f"### Time\n\n{_NOTES}\n\n{table(_TIMES, [_time_row(name, cost) for name, cost in costs.items()])}"
    yield f"### Memory\n\n{table(_MEMORY, [_memory_row(name, cost) for name, cost in costs.items()])}"
    yield f"### What was wanted\n\n{table(_WANTED, list(_verdicts(costs)))}"


def _time_row(name: str, cost: Cost) -> list[str]:
    per_sample, per_batch = (part / cost.forward for part in (cost.per_sample, cost.per_batch))
    numbers = (per_sample, cost.t3, per_batch, cost.t3_batch)
    return [name, cost.strategy, f"{cost.forward:.3f}", *(f"{number:.2f}" for number in numbers)]


def _memory_row(name: str, cost: Cost) -> list[str]:
    return [name, *(f"{part / 1e6:.0f}" for part in (cost.weights, cost.one, cost.two)), f"{cost.models:.2f}"]


def _verdicts(costs: Mapping[str, Cost]) -> Iterator[list[str]]:
    forwards = max(cost.t3 for cost in costs.values())
    models = max(cost.models for cost in costs.values())
    for what, found, most in (("T3, forwards", forwards, _MOST_FORWARDS), ("memory, models", models, _MOST_MODELS)):
        yield [what, f"≤ {most:g}", f"{found:.2f}", "met" if found <= most else "NOT met"]


if __name__ == "__main__":
    main()
