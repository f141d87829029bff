"""What `fuzz.py` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fuzz_rules import ACCEPTED, LARGE, LEFT, OTHER, REFUSED, SLOW, USAGE, WORDS

OUTCOMES = (ACCEPTED, REFUSED, USAGE, OTHER, WORDS, SLOW, LARGE, LEFT)
HEADINGS = ("target", "cases", *OUTCOMES, "slowest, s", "most memory of a case, MB", "peak, MB", "seed")


def print_table(rows: Mapping[str, Mapping[str, Any]], seed: int) -> None:
    """Print a line for each target and one for all."""
    print(f"| {' | '.join(HEADINGS)} |")
    print("|---" + "|---:" * (len(HEADINGS) - 1) + "|")
    for name, row in rows.items():
        print(_line(name, row, seed))
    outcomes: Counter[str] = Counter()
    for row in rows.values():
        outcomes.update(row["outcomes"])
    most = {key: max((row[key] for row in rows.values()), default=0) for key in ("growth", "peak")}
    slowest = max((row["slowest"] for row in rows.values()), default=(0.0, ""))
    total = {"cases": sum(row["cases"] for row in rows.values()), "outcomes": outcomes, "slowest": slowest, **most}
    print(_line("**all**", total, seed))


def _line(name: str, row: Mapping[str, Any], seed: int) -> str:
    counts = [f"{row['outcomes'].get(outcome, 0):,}" for outcome in OUTCOMES]
    memory = [f"{row[key] / 1e6:.0f}" for key in ("growth", "peak")]
    cells = [name, f"{row['cases']:,}", *counts, f"{row['slowest'][0]:.2f}", *memory, str(seed)]
    return f"| {' | '.join(cells)} |"


def print_faults(faults: Sequence[tuple[str, ...]]) -> None:
    """Print what broke a rule."""
    for name, kind, text, case in faults:
        print(f"\n{name}: {kind}: {text}\n  {bytes.fromhex(case)[:300]!r}")
