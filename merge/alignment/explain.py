"""What ``--explain`` prints: the groups, how much of a model they reach, and why other axes stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from ..errors import some_of
from .groups import Groups, Member
from .validation import coverage
from .verify import Proof

SHOWN = 3  # axes that are named for each reason
COLUMNS = ("group", "kind", "units", "members", "within")


class GroupDocument(TypedDict):
    """A group as plain data."""

    name: str
    kind: str
    size: int
    members: list[str]
    follows: list[str]
    parent: str | None


class PinnedDocument(TypedDict):
    """Axes that stay as they are for one reason."""

    reason: str
    axes: list[str]


class ProofDocument(TypedDict):
    """What was proven."""

    largest_difference: float
    tolerance: float
    precision: str
    seed: int
    trials: int


class Explanation(TypedDict):
    """Groups as plain data."""

    origin: str
    groups: list[GroupDocument]
    coverage_percent: float
    uncovered: list[str]
    pinned: list[PinnedDocument]
    proof: ProofDocument | None


def explain(groups: Groups, shapes: Mapping[str, tuple[int, ...]], proof: Proof | None = None) -> Explanation:
    """Return groups as plain data.

    Args:
        groups: The groups.
        shapes: Of the checkpoint's tensors of floating-point numbers.
        proof: That they hold, if there is one.
    """
    covered = coverage(groups, shapes)
    return Explanation(
        origin=groups.origin,
        groups=[
            GroupDocument(
                name=group.name,
                kind=group.kind,
                size=group.size,
                members=[_text(member, shapes) for member in group.members],
                follows=[_text(member, shapes) for member in group.members if member in group.only_follows],
                parent=group.parent,
            )
            for group in groups.groups.values()
        ],
        coverage_percent=round(100 * covered.share, 2),
        uncovered=list(covered.uncovered),
        pinned=_pinned(groups.pinned),
        proof=_proof(proof) if proof else None,
    )


def _text(member: Member, shapes: Mapping[str, tuple[int, ...]]) -> str:
    return member.text(shapes[member.tensor][member.axis])


def explanation_text(found: Explanation) -> str:
    """Return an explanation as a table and lines below it."""
    rows = [
        (one["name"], one["kind"], str(one["size"]), str(len(one["members"])), one["parent"] or "")
        for one in found["groups"]
    ]
    lines = [*_table([COLUMNS, *rows]), "", _coverage_line(found)]
    lines += [f"stay as they are ({one['reason']}): {some_of(one['axes'], SHOWN)}" for one in found["pinned"]]
    if proof := found["proof"]:
        change, trials = proof["largest_difference"], proof["trials"]
        lines.append(f"proven: the outputs changed by {change:.1e} at most in {trials} trials ({proof['precision']})")
    return "\n".join(lines)


def _coverage_line(found: Explanation) -> str:
    text = f"{len(found['groups'])} groups ({found['origin']}) reach {found['coverage_percent']:g} % of the parameters"
    return text + (f"; not in any: {some_of(found['uncovered'], SHOWN)}" if found["uncovered"] else "")


def _table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _pinned(pinned: Mapping[str, str]) -> list[PinnedDocument]:
    """Return axes by reason, the most frequent first."""
    by_reason: dict[str, list[str]] = {}
    for axis, reason in pinned.items():
        by_reason.setdefault(reason, []).append(axis)
    ordered = sorted(by_reason.items(), key=lambda entry: -len(entry[1]))
    return [PinnedDocument(reason=reason, axes=axes) for reason, axes in ordered]


def _proof(proof: Proof) -> ProofDocument:
    return ProofDocument(
        largest_difference=proof.largest,
        tolerance=proof.tolerance,
        precision=proof.precision,
        seed=proof.seed,
        trials=len(proof.differences),
    )
