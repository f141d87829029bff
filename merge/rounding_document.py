"""What rounding did to a merge's tensors, as ``--json`` and reports have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import NotRequired, TypedDict  # noqa: UP035 -- pydantic reads these on every Python

from .streaming.tallies import Tally, share_lost, share_of_error

if TYPE_CHECKING:
    from .engine import Outcome
    from .plan import Plan

_DIGITS = 6  # sums depend on the order of the parts in the digits behind


class RoundedTensor(TypedDict):
    """One tensor; the last four only where the changes of a base were counted and there are some."""

    tensor: str
    dtype: str
    vanished: int  # numbers that became 0
    saturated: int  # numbers beyond the largest one of the type, which they became
    largest: float | None  # magnitude of those
    changed: NotRequired[int]  # entries that differed from the base's
    lost: NotRequired[int]  # those of them that rounding made equal to it
    lost_share: NotRequired[float]
    error_share: NotRequired[float]  # squared norm of what rounding changed, of that of outcome minus base


class RoundingDocument(TypedDict):
    """How the output was rounded, and the tensors of which there is something to say."""

    rounding: str
    overflow: str
    vanished: int
    saturated: int
    changed: NotRequired[int]
    lost: NotRequired[int]
    tensors: list[RoundedTensor]


def rounding_document(plan: Plan, outcome: Outcome) -> RoundingDocument | None:
    """Return what rounding did; None where it was to nearest and there is nothing to say."""
    output, tallies = plan.recipe.output, outcome.tallies
    if not tallies and output.rounding == "nearest" and output.overflow == "error":
        return None
    total = Tally()
    for tally in tallies.values():
        total = total.joined(tally)
    dtypes = {row.name: row.dtype for row in plan.rows if row.action != "check"}
    found: RoundingDocument = {
        "rounding": output.rounding,
        "overflow": output.overflow,
        "vanished": total.vanished,
        "saturated": total.saturated,
        "tensors": [_tensor(name, tally, dtypes[name]) for name, tally in tallies.items()],
    }
    if total.changed:
        found |= {"changed": total.changed, "lost": total.lost}
    return found


def _tensor(name: str, tally: Tally, dtype: str) -> RoundedTensor:
    found: RoundedTensor = {
        "tensor": name,
        "dtype": dtype,
        "vanished": tally.vanished,
        "saturated": tally.saturated,
        "largest": tally.largest if tally.saturated else None,
    }
    if tally.changed:
        found |= {"changed": tally.changed, "lost": tally.lost}
        found |= {"lost_share": _short(share_lost(tally)), "error_share": _short(share_of_error(tally))}
    return found


def _short(share: float) -> float:
    return float(f"{share:.{_DIGITS}g}")
