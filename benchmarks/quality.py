"""Compares merges that need data with those that need none, on experts for the bundled digits.

Run it from a checkout: ``python benchmarks/quality.py``. For every seed it trains a base and four experts (digits as
they are, rotated, inverted, mirrored), merges pairs of them and all four through the command line, and scores the
outcomes on the 540 held-out images of each task. It prints the tables of docs/quality.md. ``--quick`` trains and merges
as little as possible: does everything work?
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context

from digit_tasks import TASKS
from quality_tables import choice_table, difference_table, mean_table, scales_chosen, sweep_table
from quality_trial import FULL, PAIR, QUICK, Size, Trial, run_trial
from table import machine

_NOTES = """\
Seeds: {seeds}. Held-out images per task: 540. Images per task for statistics: {samples}. Intervals: 95 %, Student's t
over seeds, not corrected for their number. Accuracies are means over the tasks, then over the choices of tasks.
"""


def main() -> None:
    """Run every seed, some side by side, and print the tables."""
    arguments = parse(sys.argv[1:])
    about = machine()  # the load before the work
    size = QUICK if arguments.quick else FULL
    started = time.perf_counter()
    trials = _run_all(range(arguments.seeds), arguments.tasks, size, arguments.jobs)
    seconds = time.perf_counter() - started
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "scikit-learn", "scipy"))
    print(f"```\n{shlex.join(['python', 'benchmarks/quality.py', *sys.argv[1:]])}\n```\n")
    print(f"{about} With {libraries}. {seconds:.0f} seconds, {arguments.jobs} at a time.\n")
    print(_NOTES.format(seeds=arguments.seeds, samples=size.samples))
    print("\n\n".join(sections(trials, arguments.tasks)))


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Read the flags. Raises SystemExit with code 2 when they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=_positive, default=5, help="how many; they are 0, 1, 2, … (default: 5)")
    parser.add_argument(
        "--tasks",
        type=int,
        nargs="+",
        default=[PAIR, len(TASKS)],
        choices=range(2, len(TASKS) + 1),
        help="how many experts are merged at a time (default: 2 4)",
    )
    parser.add_argument("--jobs", type=_positive, default=os.cpu_count() or 1, help="seeds at a time, one core each")
    parser.add_argument("--quick", action="store_true", help="hardly train: does everything work?")
    arguments = parser.parse_args(words)
    arguments.tasks, arguments.jobs = list(dict.fromkeys(arguments.tasks)), min(arguments.jobs, arguments.seeds)
    return arguments


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {number}")
    return number


def _run_all(seeds: Sequence[int], numbers: Sequence[int], size: Size, jobs: int) -> list[Trial]:
    """Return a trial per seed, in the order of the seeds; each has a process and a thread of its own."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(run_trial, seed, numbers, size): seed for seed in seeds}
        found = {}
        for done in as_completed(waiting):
            found[waiting[done]] = done.result()
            print(f"seed {waiting[done]} is done, {len(found)} of {len(waiting)}", file=sys.stderr, flush=True)
    return [found[seed] for seed in seeds]


def sections(trials: Sequence[Trial], numbers: Sequence[int]) -> Iterator[str]:
    """Yield the tables, each with its heading."""
    for number in numbers:
        count = len(next(iter(trials[0].scores[number].values())))
        over = f", mean over {count} choices of tasks" if count > 1 else ""
        yield f"### {number} tasks{over}\n\n{mean_table(trials, number)}"
        yield f"Scales chosen on validation images: {scales_chosen(trials, number)}."
        yield f"Paired over seeds:\n\n{difference_table(trials, number)}"
        if count > 1:
            yield f"Each choice of tasks by itself:\n\n{choice_table(trials, number)}"
    if PAIR in numbers:
        yield f"### RegMean on pairs: off-diagonal factor and samples\n\n{sweep_table(trials)}"


if __name__ == "__main__":
    main()
