"""The table, and the section for docs/performance.md around it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from inputs import memory_gigabytes
from measure import CHECKOUT
from rows import MERGE, Row, Usage

_HEADINGS = ("what", "wall s", "CPU s", "peak MB", "ratio to", "wall ratio", "CPU ratio", "targets")
_NOTES = """\
Medians of whole processes (peak memory: the highest of all runs), warm page cache, everything in turn. Y is `cat` of
the same inputs into nothing plus `cp` of the first: what reading and writing alone cost. Merges run with
`--no-fsync` and content ids on. The targets are those for two cores. A peak below that of `python -c pass` cannot be
seen: a process counts what its parent held when it was started.
"""


def row_cells(row: Row, used: Mapping[str, Usage], gigabytes: float) -> list[str]:
    """Return a row of the table.

    Args:
        row: What was run.
        used: What every row of its case used.
        gigabytes: The size of one bfloat16 input; some targets are not set for small ones.
    """
    own = used[row.label]
    reference = used[row.reference or row.label]
    ratios = ("", "", "")
    if row.reference is not None:
        ratios = (row.reference, f"{own.wall / reference.wall:.2f}", f"{own.cpu / reference.cpu:.2f}")
    verdicts = [target.verdict(own, reference, gigabytes) for target in row.targets]
    if own.imported:
        verdicts.append(f"(imports {', '.join(own.imported)})")
    return [row.label, f"{own.wall:.2f}", f"{own.cpu:.2f}", f"{own.peak:.0f}", *ratios, "; ".join(verdicts)]


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table that also reads well as plain text."""
    cells = [_HEADINGS, *lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADINGS) - 1)]

    def text(line: Sequence[str]) -> str:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        return f"| {' | '.join([*padded, line[-1]])} |"

    rule = "|".join(["-" * (width + 2) for width in widths] + ["---"])
    return "\n".join([text(_HEADINGS), f"|{rule}|", *map(text, lines)])


def section(about: str, command: str, table: str, gigabytes: float) -> str:
    """Return a section for docs/performance.md.

    Args:
        about: The machine.
        command: What was run.
        table: Its Markdown table.
        gigabytes: The size of one bfloat16 input.
    """
    return f"## Inputs of {gigabytes:g} GB\n\n{about}\n\n```\n{command}\n```\n\n{_NOTES}\n{table}\n"


def machine() -> str:
    """Return the machine and the versions in a few words."""
    merge = subprocess.check_output([*MERGE, "--version"], cwd=CHECKOUT, text=True).strip()
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "ml_dtypes", "xxhash"))
    return (
        f"{_cores()} cores ({_processor()}), {memory_gigabytes():.0f} GB of memory, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {merge}, {libraries}; "
        f"load {os.getloadavg()[0]:.1f} at the start."
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    if sys.platform == "darwin":
        return subprocess.check_output(["sysctl", "-n", "machdep.cpu.brand_string"], text=True).strip()
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
