"""Merges a thousand times in one process, and looks whether it goes on holding what it held.

Run it from a checkout: ``python benchmarks/soak.py``. Rounds of every job of ``soak_jobs.py``, in an order that a seed
draws, go through the Python API: files, folders, shards, bundles, state dicts in memory, merges that fail, and an
evaluation in every second round. After each job the working folder must hold its output or nothing, and the output must
be what it was the first time, bit for bit. After each round it is written down what the process holds. The first fifth
of the rounds is warming up. It prints the table of docs/reliability.md; the exit code is 1 where something grew.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from soak_gauges import Holdings, holdings
from soak_inputs import write_inputs
from soak_jobs import EVALUATION, JOBS, Job
from soak_table import grown, section


class Soak(NamedTuple):
    """What was done, and what was held after each round.

    Attributes:
        merges: The number of merges when a round ended, for every round.
        held: What was held then.
        done: How often each job was done.
        seconds: What all of it took.
    """

    merges: list[int]
    held: list[Holdings]
    done: Counter[str]
    seconds: float


def soak(folder: Path, merges: int, seed: int) -> Soak:
    """Do all jobs, round after round, until there were so many merges.

    Args:
        folder: An empty one to work in; libraries' temporary files go there too.
        merges: The least number of merges.
        seed: Of the order within each round.

    Raises:
        AssertionError: A job left something behind, did not fail as it should, or its output changed.
    """
    inputs, places = folder / "inputs", folder / "work"
    inputs.mkdir()
    write_inputs(inputs)
    draw, done, digests, totals, held = random.Random(seed), Counter[str](), dict[str, str](), [0], list[Holdings]()
    started = time.monotonic()
    before, tempfile.tempdir = tempfile.tempdir, str(places)
    try:
        while totals[-1] < merges:
            jobs = [*JOBS, *([EVALUATION] if len(held) % 2 == 0 else [])]
            for job in draw.sample(jobs, len(jobs)):
                _perform(job, inputs, places, digests)
                done[job.name] += 1
            totals.append(totals[-1] + sum(job.merges for job in jobs))
            now = holdings()
            held.append(now._replace(objects=now.objects - len(held)))  # without these records
    finally:
        tempfile.tempdir = before
    return Soak(totals[1:], held, done, time.monotonic() - started)


def _perform(job: Job, inputs: Path, places: Path, digests: dict[str, str]) -> None:
    """Do a job in a new folder, look at what it left there, and remove it."""
    from merge import MergeError

    places.mkdir()
    error = None
    try:
        job.run(inputs, places / "out")
    except MergeError as raised:
        error = str(raised)
    assert (error is None) == (job.refusal is None), f"{job.name}: {error}"
    assert (job.refusal or "") in (error or ""), f"{job.name}: {error}"
    digest = _digest(places)
    assert digests.setdefault(job.name, digest) == digest, f"{job.name}: not what it was the first time"
    assert all(name.startswith("out") for name in os.listdir(places)), f"{job.name} left {os.listdir(places)}"
    shutil.rmtree(places)


def _digest(folder: Path) -> str:
    """Return a hash of all names and files below a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        found.update(str(path.relative_to(folder)).encode() + b"\0" + (path.read_bytes() if path.is_file() else b""))
    return found.hexdigest()


def main() -> int:
    """Soak, print the section, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--merges", type=int, default=1000, help="how many at least (default: 1000)")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the jobs (default: 1)")
    os.environ |= {"HF_HUB_OFFLINE": "1", "MERGE_RATES": "off"}  # before anything heavy is imported
    arguments = parser.parse_args()
    words = ["--merges", str(arguments.merges), "--seed", str(arguments.seed)]
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), arguments.merges, arguments.seed)
    print(section(found.merges, found.held, found.done, found.seconds, words))
    problems = grown(found.merges, found.held)
    print("\n".join(problems), file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
