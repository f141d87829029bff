"""The table of ``soak.py``, and what of it is a fault."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from soak_gauges import Holdings, slope
from table import machine

WARM_UP = 5  # the first one of so many parts
_KILOBYTES_PER_MERGE = 1.0  # more than this, beyond its uncertainty, is growth and no noise
_ROWS = 6


def steady(values: Sequence[Any]) -> Sequence[Any]:
    """Return the values after warming up."""
    return values[len(values) // WARM_UP :]


def grown(merges: Sequence[int], held: Sequence[Holdings]) -> list[str]:
    """Return what grew, in words."""
    after = steady(held)
    problems = [
        f"{name}: {sorted({getattr(one, name) for one in after})}"
        for name in ("files", "threads", "system_threads")
        if len({getattr(one, name) for one in after}) > 1
    ]
    rate, margin = slope(steady(merges), [one.resident / 1e3 for one in after])
    if rate - margin > _KILOBYTES_PER_MERGE:
        problems.append(f"memory: {rate:.2f} ± {margin:.2f} kB per merge")
    rate, margin = slope(steady(merges), [one.objects for one in after])
    if rate - margin > 0.5:
        problems.append(f"objects: {rate:.2f} ± {margin:.2f} per merge")
    return problems


def section(
    merges: Sequence[int], held: Sequence[Holdings], done: Mapping[str, int], seconds: float, words: Sequence[str]
) -> str:
    """Return the section for docs/reliability.md."""
    rate, margin = slope(steady(merges), [one.resident / 1e3 for one in steady(held)])
    objects, spread = slope(steady(merges), [one.objects for one in steady(held)])
    fails = sum(times for name, times in done.items() if name.startswith("fails"))
    return "\n".join(
        [
            f"```\n{shlex.join(['python', 'benchmarks/soak.py', *words])}\n```\n",
            machine() + "\n",
            f"{merges[-1]:,} merges in {seconds:.0f} s and {len(held)} rounds of {len(done)} jobs, of which {fails}",
            "ended in the refusal that they must end in. Every output was that of the first round, bit for bit, and no",
            "other file was left.\n",
            _table(merges, held),
            "\nAfter warming up (a fifth of the rounds) what is held moved, per merge, by",
            f"{rate:+.2f} ± {margin:.2f} kB of memory and {objects:+.3f} ± {spread:.3f} objects of Python.",
            "(± is half of a 95 % interval.)",
        ]
    )


def _table(merges: Sequence[int], held: Sequence[Holdings]) -> str:
    last = len(held) - 1
    chosen = sorted({round(last * part / (_ROWS - 1)) for part in range(_ROWS)})
    lines = [
        "| merges | memory, MB | open files | threads | threads with libraries' | objects |",
        "|---|---|---|---|---|---|",
    ]
    for number in chosen:
        one = held[number]
        cells = (f"{merges[number]:,}", f"{one.resident / 1e6:.1f}", one.files, one.threads, one.system_threads)
        lines.append(f"| {' | '.join(map(str, cells))} | {one.objects:,} |")
    return "\n".join(lines)
