"""Run cases of one target: hypothesis draws them, and makes those that break a rule as small as it can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz_cases import cases
from fuzz_rules import SECONDS, SOUND, Outcome, judge
from fuzz_target import Target
from hypothesis import HealthCheck, given, seed, settings

BYTES_A_SECOND = 20_000  # that every reader must manage on top: YAML with positions is the slowest
MOST_FAULTS = 4  # of one target, of which each is made small before the next one is looked for


@dataclass
class Found:
    """What the cases of a target came to.

    Attributes:
        cases: How many were run, those that made others smaller included.
        outcomes: How many had which outcome.
        slowest: Seconds of the processor's time of the slowest, and what it was.
        growth: The most memory that a case needed beside what the process held, in bytes.
        faults: What was wrong, with the smallest case that shows it in hexadecimal digits.
    """

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    growth: int = 0
    faults: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, outcome: Outcome, case: bytes) -> None:
        """Count a case."""
        self.cases += 1
        self.outcomes[outcome.kind] += 1
        self.growth = max(self.growth, outcome.growth)
        self.slowest = max(self.slowest, (outcome.seconds, f"{outcome.kind}, {len(case):,} bytes"))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**vars(self), "outcomes": dict(self.outcomes)}


class RuleBrokenError(AssertionError):
    """A case broke a rule."""


def try_case(target: Target, folder: Path, case: bytes, limit: float = SECONDS) -> Outcome:
    """Put a case where the sound file was, and judge it; the folder must be the current one."""
    path = folder / target.file
    if path.is_symlink() or not path.parent.is_dir():
        raise RuntimeError(f"{path} is no place for a case")
    path.write_bytes(case)
    return judge(target.read, folder, limit + len(case) / BYTES_A_SECOND)


def run_cases(
    target: Target, folder: Path, seeds: Sequence[bytes], count: int, number: int, *, limit: float = SECONDS
) -> Found:
    """Run cases until there are as many as wanted, or too many faults.

    Args:
        target: What reads them.
        folder: Where it was made; the current one.
        seeds: Sound files to begin with.
        count: How many cases.
        number: Seed of the draws.
        limit: Seconds of the processor's time for a case.
    """
    found, rounds = Found(), 0
    while found.cases < count and len(found.faults) < MOST_FAULTS:
        before = found.cases
        _one_round(target, folder, seeds, count - found.cases, number * 1000 + rounds, found, limit)
        rounds += 1
        if found.cases == before:
            break
    return found


def _one_round(
    target: Target, folder: Path, seeds: Sequence[bytes], count: int, number: int, found: Found, limit: float
) -> None:
    smallest: list[tuple[str, str, str]] = []

    @seed(number)
    @settings(max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(cases(target.form, seeds))
    def one(case: bytes) -> None:
        outcome = try_case(target, folder, case, limit)
        found.add(outcome, case)
        if outcome.kind not in SOUND:
            smallest[:] = [(outcome.kind, outcome.text, case.hex())]
            raise RuleBrokenError(outcome.kind)

    try:
        one()
    except (RuleBrokenError, ExceptionGroup):
        found.faults += smallest


def warm_up(target: Target, folder: Path, seeds: Sequence[bytes]) -> list[str]:
    """Read the sound files, so that no case pays for what is imported; return what is wrong with them."""
    wrong = []
    for case in [*seeds, seeds[0]]:
        (folder / target.file).write_bytes(case)
        outcome = judge(target.read, folder, 600.0)
        if outcome.kind != "accepted" and "over 500 MB" not in outcome.kind:
            wrong.append(f"a sound file of {target.name} is not accepted: {outcome.kind}, {outcome.text}")
    return wrong
