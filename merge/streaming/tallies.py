"""What rounding did to the outcome, tensor by tensor, in counts that add up over pieces, threads and processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import NamedTuple

from ..planning.rows import Row
from .narrowing import LARGEST, SMALLEST


class Tally(NamedTuple):
    """What was counted of one tensor, or of part of it.

    Attributes:
        vanished: Numbers that became 0 in a type that cannot hold them.
        saturated: Numbers beyond the largest one of the type, which they became.
        largest: The largest magnitude of those.
        changed: Numbers that differed from the base's before they were rounded.
        lost: Those of them that rounding made equal to the base's, rounded in the same way.
        update: Sum of squares of outcome minus base, before rounding.
        error: Sum of squares of what rounding changed.
    """

    vanished: int = 0
    saturated: int = 0
    largest: float = 0.0
    changed: int = 0
    lost: int = 0
    update: float = 0.0
    error: float = 0.0

    def joined(self, other: Tally) -> Tally:
        """Return what was counted of two parts of a tensor together."""
        sums = [one + more for one, more in zip(self, other, strict=True)]
        return Tally(*sums)._replace(largest=max(self.largest, other.largest))  # type: ignore[arg-type]


Tallies = Mapping[str, Tally]  # by the tensor's name in the output


def absorb(tallies: MutableMapping[str, Tally], more: Tallies) -> None:
    """Add what was counted of further parts."""
    for name, tally in more.items():
        tallies[name] = tallies[name].joined(tally) if name in tallies else tally


def rounding_remarks(tallies: Tallies, rows: Sequence[Row], *, stochastic: bool) -> list[str]:
    """Return what a user should know of the rounding.

    Args:
        tallies: What was counted.
        rows: The plan's rows.
        stochastic: Whether numbers were rounded stochastically.
    """
    by_type: dict[str, dict[str, Tally]] = {}
    for row in rows:
        if row.name in tallies and row.action != "check":
            by_type.setdefault(row.dtype, {})[row.name] = tallies[row.name]
    remarks = []
    for dtype, own in sorted(by_type.items()):
        remarks += [*_vanished(dtype, own), *_saturated(dtype, own), *_lost(dtype, own, stochastic=stochastic)]
    return remarks


def _numbers(count: int) -> str:
    return f"{count:,} number{'' if count == 1 else 's'}"


def _vanished(dtype: str, tallies: Tallies) -> Iterator[str]:
    count = sum(tally.vanished for tally in tallies.values())
    if count:
        yield f"{_numbers(count)} became 0, too small for {dtype}, whose smallest is {SMALLEST[dtype]:.2g}"


def _saturated(dtype: str, tallies: Tallies) -> Iterator[str]:
    found = {name: tally for name, tally in tallies.items() if tally.saturated}
    if found:
        count = sum(tally.saturated for tally in found.values())
        worst = max(found, key=lambda name: found[name].saturated)
        told = f"{found[worst].saturated:,} of '{worst}', up to {found[worst].largest:.4g}"
        where = f"{len(found):,} tensor{'s' if len(found) > 1 else ''}"
        yield f"{_numbers(count)} of {where} became the largest {dtype} number, {LARGEST[dtype]:g} (most: {told})"


def _lost(dtype: str, tallies: Tallies, *, stochastic: bool) -> Iterator[str]:
    found = {name: tally for name, tally in tallies.items() if tally.changed}
    if not found:
        return
    total = Tally()
    for tally in found.values():
        total = total.joined(tally)
    worst = max(found, key=lambda name: share_lost(found[name]))
    told = f"{share_lost(total):.1%} of the changed entries (worst: '{worst}', {share_lost(found[worst]):.1%})"
    error = f"; its error is {share_of_error(total):.2g} of the updates' squared norm"
    hint = "" if stochastic or not total.lost else "; --rounding stochastic keeps their mean"
    yield f"rounding to {dtype} lost {told}{error}{hint}"


def share_lost(tally: Tally) -> float:
    """Return the share of the changed entries that rounding made equal to the base's."""
    return tally.lost / tally.changed if tally.changed else 0.0


def share_of_error(tally: Tally) -> float:
    """Return the squared norm of what rounding changed, as a share of that of the updates."""
    return tally.error / tally.update if tally.update else 0.0
