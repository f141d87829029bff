"""Times whole processes: wall and CPU seconds and peak memory, as the operating system accounts them.

Imports nothing heavy, on purpose: a child's ``ru_maxrss`` starts at what its parent holds at the fork, so a parent of
200 MB would hide a child of 50.
"""

from __future__ import annotations

import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rows import Command, Row, Usage

CHECKOUT = Path(__file__).resolve().parents[1]
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "NO_COLOR": "1"}


def measure(rows: Sequence[Row], runs: int) -> Mapping[str, Usage]:
    """Run all rows in turn, several times over, and return each row's median usage (the highest, for memory)."""
    samples: dict[str, list[Usage]] = {row.label: [] for row in rows}
    for turn in range(runs):
        for row in rows:
            if row.most_runs is None or turn < row.most_runs:
                samples[row.label].append(_run_row(row))
    return {row.label: _median(samples[row.label], _heavy_imports(row)) for row in rows}


def _median(samples: Sequence[Usage], imported: tuple[str, ...]) -> Usage:
    return Usage(
        wall=statistics.median(sample.wall for sample in samples),
        cpu=statistics.median(sample.cpu for sample in samples),
        peak=max(sample.peak for sample in samples),
        imported=imported,
    )


def _run_row(row: Row) -> Usage:
    _remove(row.output)
    used = [run(command, refusal=row.refusal) for command in row.commands]
    _remove(row.output)
    return Usage(
        wall=sum(usage.wall for usage in used),
        cpu=sum(usage.cpu for usage in used),
        peak=max(usage.peak for usage in used),
    )


def run(command: Command, *, refusal: str | None = None) -> Usage:
    """Run a process to its end and return what it used.

    Args:
        command: The program and its arguments.
        refusal: What its stderr holds where it may fail.

    Raises:
        RuntimeError: When it fails otherwise, with what it printed on stderr.
    """
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=_ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=errors, stdin=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        message = errors.read().decode(errors="replace")
    if process.returncode and (refusal is None or refusal not in message):
        raise RuntimeError(f"{shlex.join(command)} ended with {process.returncode}: {message[-2000:]}")
    return Usage(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * _RSS_UNIT / 1e6)


def _heavy_imports(row: Row) -> tuple[str, ...]:
    """Return which heavy libraries a Python row imports, from one more run that is not timed."""
    if not row.watch_imports:
        return ()
    (program, *arguments), *_ = row.commands
    traced = [program, "-X", "importtime", *arguments]
    process = subprocess.run(traced, cwd=CHECKOUT, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
    modules = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    return tuple(sorted(modules & {"torch", "numpy", "transformers", "scipy"}))


def _remove(output: Path | None) -> None:
    if output is None:
        return
    if output.is_dir():
        shutil.rmtree(output)
    output.unlink(missing_ok=True)
