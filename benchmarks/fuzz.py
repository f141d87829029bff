"""Give everything that reads files from outside damaged ones, and tell what became of them.

    python benchmarks/fuzz.py --cases 100000 --seed 1        # all targets, some thousand cases each
    python benchmarks/fuzz.py --cases 2000 --only journal    # targets with this word in their names
    python benchmarks/fuzz.py --quick                        # a few cases each: does it work?

Every case must end in acceptance or in one refusal in words, within 5 seconds of the processor's time and 500 MB of
memory, and leave no file. Each target runs in a process of its own, so that a crash or a standstill is caught and
named. What breaks a rule is made as small as hypothesis can make it and kept under ``--keep``. The exit code is 1 where
something did.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from fuzz_chunk import run_chunk
from fuzz_table import print_faults, print_table
from fuzz_target import Target
from fuzz_targets import TARGETS

STANDSTILL = 300  # seconds without another case after which a process is ended
PROCESSES = multiprocessing.get_context("forkserver")  # what is imported, is imported once
IMPORTED = ("fuzz_chunk", "torch", "transformers", "safetensors.torch", "merge.verify", "merge.evaluation", "merge.cli")


def main() -> int:
    """Run the command line."""
    arguments = _arguments()
    PROCESSES.set_forkserver_preload(list(IMPORTED))
    chosen = [target for name, target in TARGETS.items() if arguments.only in name]
    count = 20 if arguments.quick else -(-arguments.cases // max(len(chosen), 1))
    run = partial(run_target, count=count, seed=arguments.seed)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        rows = dict(zip([target.name for target in chosen], pool.map(run, chosen), strict=True))
    print_table(rows, arguments.seed)
    faults = [(name, *fault) for name, row in rows.items() for fault in row["faults"]]
    print_faults(faults)
    _keep(faults, arguments.keep)
    return 1 if faults else 0


def run_target(target: Target, count: int, seed: int) -> dict[str, Any]:
    """Run the cases of one target in a process of its own; return what it found."""
    with tempfile.TemporaryDirectory() as place:
        case, result = Path(place) / "work" / target.file, Path(place) / "found.json"
        process = PROCESSES.Process(target=run_chunk, args=(target.name, count, seed, Path(place)))
        process.start()
        ended = _watch(process, case)
        found = json.loads(result.read_text()) if result.is_file() else _lost(ended, case, Path(place))
    told = "".join(f"\n  {kind}: {text}" for kind, text, _ in found["faults"])
    print(f"{target.name}: {found['cases']:,} cases{told}", file=sys.stderr)
    return found


def _watch(process: Any, case: Path) -> str:
    """Wait for a process; end it where its case does not change any more. Return how it ended."""
    last, since = "", time.monotonic()
    while True:
        process.join(1)
        if process.exitcode is not None:
            return f"ended with {process.exitcode}"
        now = str(case.stat().st_mtime_ns) if case.exists() else ""
        last, since = (last, since) if now == last else (now, time.monotonic())
        if time.monotonic() - since > STANDSTILL:
            process.kill()
            process.join()
            return f"stood still for {STANDSTILL} s"


def _lost(ended: str, path: Path, place: Path) -> dict[str, Any]:
    """Return what is known of a process that told nothing: its last words, and the case that it was at."""
    words = (place / "said.txt").read_text("utf-8", "replace").strip().splitlines()[-1:]
    case = path.read_bytes().hex() if path.exists() else ""
    fault = ["process lost", f"{ended}; {' '.join(words)}", case]
    empty = {"cases": 0, "outcomes": {}, "slowest": [0.0, ""], "growth": 0, "peak": 0}
    return {**empty, "faults": [fault]}


def _keep(faults: list[tuple[str, ...]], folder: Path | None) -> None:
    """Keep the cases that broke a rule, by their targets."""
    for number, (name, _, _, case) in enumerate(faults):
        if folder is not None and case:
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / f"found-{number}").write_bytes(bytes.fromhex(case))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="targets with this word in their names")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    parser.add_argument("--keep", type=Path, help="folder that gets the cases which broke a rule")
    parser.add_argument("--quick", action="store_true", help="a few cases of each target")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
