"""What a process of its own does: it runs cases of one target.

It writes what it found to ``found.json`` in its place. Whatever happens to it, the file of the target in ``work`` there
is the case that it was at.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import warnings
from pathlib import Path

from fuzz_run import run_cases, warm_up
from fuzz_target import within
from fuzz_targets import TARGETS

ROOM = 6 * 10**9  # bytes of addresses that a case may add before the system refuses more


def run_chunk(name: str, count: int, seed: int, place: Path) -> None:
    """Run so many cases of a target, in a folder that is empty."""
    target, folder = TARGETS[name], place / "work"
    folder.mkdir()
    _say_into(place / "said.txt")
    warnings.simplefilter("ignore")
    with within(folder):
        target.make(folder)
        seeds = target.seeds(folder)
        wrong = warm_up(target, folder, seeds)
        _limit_addresses()
        found = run_cases(target, folder, seeds, count, seed)
    found.faults += [("seed", text, "") for text in wrong]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (place / "found.json").write_text(json.dumps(found.as_json() | {"peak": peak}))


def _say_into(path: Path) -> None:
    """Let what the libraries say go into a file."""
    with path.open("wb") as said:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(said.fileno(), stream.fileno())


def _limit_addresses() -> None:
    """Let a case that wants far too much memory fail, before the machine does."""
    status = Path("/proc/self/status")
    if status.exists():
        used = int(re.findall(r"VmSize:\s*(\d+) kB", status.read_text())[0]) * 1024
        resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
