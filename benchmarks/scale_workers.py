"""Two workers, or two threads, on two cores against one thread, with warm inputs."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from inputs import Inputs, warm
from measure import CHECKOUT, measure
from rows import MERGE, Row, Usage, merge
from scale_table import Section, often, verdict

_SMALL = 0.1  # gigabytes of an input of the small merges
_ONE, _THREADS = ("--threads", "1"), ("--threads", "2")
_WORKERS = ("--workers", "2", "--threads", "1")
_ARITHMETIC, _NEVER = 1.6, 0.95  # times as fast as one thread
_SEEDED = ("--seed", "1")
# Flags of methods that are bound by arithmetic.
_BOUND: dict[str, tuple[str, ...]] = {"ties": (), "dare": _SEEDED, "della": _SEEDED, "breadcrumbs": (), "slerp": ()}
_HEADINGS = ("what", "1 thread, s", "2 threads, s", "2 workers, s", "threads, x", "workers, x", "peak MB", "targets")
_ABOUT = """\
Base and three fine-tunes of {size:g} GB each (slerp and soup: two; *small*: of {small:g} GB), bfloat16, warm page
cache, whole processes, `--no-fsync`, everything in turn, {often}. *2 workers* is `--workers 2 --threads 1`.
The last ratios are the seconds of one thread over those of two threads, or of two workers; the peak is that of the
process that was started, without the workers that it starts. {cores} cores."""


class _Case(NamedTuple):
    label: str
    method: str
    models: Sequence[Path]
    options: Sequence[str]
    least: float


def has_workers() -> bool:
    """Tell whether this version of the tool has the flag."""
    known = subprocess.run((*MERGE, "soup", "--help"), cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return "--workers" in known.stdout


def workers(inputs: Inputs, small: Inputs, runs: int, cores: int) -> Section:
    """Measure methods by one thread, two threads, two workers.

    Args:
        inputs: Makes the files.
        small: Makes those of the small merges.
        runs: How often.
        cores: Of this machine, as told in the text.
    """
    ways: dict[str, Sequence[str]] = {"1 thread": _ONE, "2 threads": _THREADS}
    if has_workers():
        ways["2 workers"] = _WORKERS
    lines = []
    for case in _cases(inputs, small):
        warm(case.models)
        lines.append(_line(case, _measured(case, inputs.output("merged.st"), ways, runs)))
    about = _ABOUT.format(size=inputs.gigabytes, small=small.gigabytes, often=often(runs), cores=cores)
    more = "" if has_workers() else "This version has no `--workers`."
    return Section("Two workers on two cores", about, _HEADINGS, lines, more)


def _cases(inputs: Inputs, small: Inputs) -> list[_Case]:
    base, *models = (inputs.tuned(variant) for variant in range(4))
    bases = ("--base", str(base))
    found = []
    for method, flags in _BOUND.items():
        is_pair = method == "slerp"
        options = flags if is_pair else (*flags, *bases)
        found.append(_Case(method, method, models[:2] if is_pair else models, options, _ARITHMETIC))
    found.append(_Case("soup", "soup", models[:2], (), _NEVER))
    found.append(_Case("task-arithmetic", "task-arithmetic", models, bases, _NEVER))
    tiny_base, *tiny = (small.tuned(variant) for variant in range(4))
    found.append(_Case("small soup", "soup", tiny[:2], (), _NEVER))
    found.append(_Case("small ties", "ties", tiny, ("--base", str(tiny_base)), _NEVER))
    return found


def _measured(case: _Case, out: Path, ways: Mapping[str, Sequence[str]], runs: int) -> Mapping[str, Usage]:
    rows = [
        Row(way, (merge(case.method, case.models, out, *case.options, *flags),), output=out)
        for way, flags in ways.items()
    ]
    return measure(rows, runs)


def _line(case: _Case, used: Mapping[str, Usage]) -> list[str]:
    one, threads, others = used["1 thread"], used["2 threads"], used.get("2 workers")
    if others is None:
        peak = f"{threads.peak:.0f}"
        return [
            case.label,
            f"{one.wall:.2f}",
            f"{threads.wall:.2f}",
            "",
            f"{one.wall / threads.wall:.2f}",
            "",
            peak,
            "",
        ]
    speed = one.wall / others.wall
    target = verdict("workers", case.least, speed, at_least=True, unit=" x")
    seconds = [f"{each.wall:.2f}" for each in (one, threads, others)]
    return [case.label, *seconds, f"{one.wall / threads.wall:.2f}", f"{speed:.2f}", f"{others.peak:.0f}", target]
