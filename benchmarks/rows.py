"""The rows of the table, the targets beside them, and short ways to write both."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inputs import Inputs

MERGE = (sys.executable, "-m", "merge")
Command = tuple[str, ...]


@dataclass(frozen=True)
class Usage:
    """What one run, or the median of several, took: seconds, and MB of resident memory at the peak."""

    wall: float
    cpu: float
    peak: float
    imported: tuple[str, ...] = ()  # heavy libraries, where a row asks for them


@dataclass(frozen=True)
class Target:
    """A limit for a figure that is worked out from a row's usage and that of its reference."""

    what: str
    limit: float
    unit: str
    figure: Callable[[Usage, Usage], float]
    from_gigabytes: float = 0.0  # for smaller inputs the target says nothing

    def verdict(self, own: Usage, reference: Usage, gigabytes: float) -> str:
        """Return the target, the measured figure, and whether the one meets the other."""
        figure = self.figure(own, reference)
        target = f"{self.what} ≤ {self.limit:g}{self.unit}"
        if gigabytes < self.from_gigabytes:
            return f"{target} (from {self.from_gigabytes:g} GB): {figure:.3g}"
        return f"{target}: {figure:.3g}, {'met' if figure <= self.limit else 'NOT met'}"


@dataclass(frozen=True)
class Row:
    """One line of the table: processes run one after another, counted together."""

    label: str
    commands: tuple[Command, ...]
    reference: str | None = None  # the label of the row that the ratios are to; none: no ratios
    targets: tuple[Target, ...] = ()
    output: Path | None = None  # removed before and after each run, outside the timed part
    refusal: str | None = None  # what stderr says where the program may rightly refuse
    most_runs: int | None = None
    watch_imports: bool = False


def merge(method: str, models: Sequence[Path | str], out: Path, *options: str, fsync: bool = False) -> Command:
    """Return the command that merges these models."""
    durable = () if fsync else ("--no-fsync",)
    return (*MERGE, method, *map(str, models), "-o", str(out), *durable, "--quiet", *options)


def cpu_ratio(limit: float, unit: str, from_gigabytes: float = 1) -> Target:
    """Return a target for CPU seconds over those of the reference row."""
    return Target("CPU", limit, f" {unit}", lambda own, reference: own.cpu / reference.cpu, from_gigabytes)


def wall_ratio(limit: float, unit: str, from_gigabytes: float = 1) -> Target:
    """Return a target for wall seconds over those of the reference row."""
    return Target("wall", limit, f" {unit}", lambda own, reference: own.wall / reference.wall, from_gigabytes)


def peak(limit: float) -> Target:
    """Return a target for the highest resident memory."""
    return Target("peak", limit, " MB", lambda own, _: own.peak)


def growth(limit: float, what: str, steps: int = 1) -> Target:
    """Return a target for the resident memory over that of the reference row, a step."""
    return Target(what, limit, " MB", lambda own, reference: (own.peak - reference.peak) / steps)


def yardstick(inputs: Inputs, label: str, models: Sequence[Path]) -> Row:
    """Return the row Y: what reading all inputs and copying the first cost with the system's own tools."""
    out = inputs.output("yardstick.st")
    names = tuple(map(str, models))
    return Row(label, (("cat", *names), ("cp", names[0], str(out))), output=out)
