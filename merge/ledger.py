"""The ledger of a merge that learned from data: what became of every tensor, and from which statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from .checkpoints.widened import WideSource
from .engine import Outcome
from .ledger_document import LedgerDocument, LedgerFile, LedgerRow
from .plan import Plan
from .planning.bound import Bound, BoundCall
from .planning.rows import Row
from .program import Call, calls

REGRESSED, WEIGHTED, AVERAGED = "regressed", "weighted by Fisher information", "averaged"
SCALED, OF_BASE = "scaled by learned coefficients", "the base's"
_OF_UNITS = ("groups", "orders", "similarities", "reads", "own_class")
_TREATMENTS = {"fisher": WEIGHTED, "coefficients": SCALED}


def ledger(plan: Plan, outcome: Outcome) -> LedgerDocument | None:
    """Return the ledger of a finished run; None where no method learned from data."""
    if not plan.learned.facts:
        return None
    wide = _of_wide_network(plan)
    tensors = [
        _wide_row(row.name, *wide[row.name]) if row.name in wide else _row(plan, row, outcome.records.get(row.name, {}))
        for row in plan.rows
        if row.action != "check"
    ]
    files: list[LedgerFile] = [
        {"role": plan.roles[number], "file": plan.sources[number].location, "about": _told(facts.about)}
        for number, facts in plan.learned.facts.items()
    ]
    counts = Counter(row["treatment"] for row in tensors)
    return {"files": files, "counts": dict(counts), "tensors": tensors}


def summary(found: LedgerDocument) -> Iterator[str]:
    """Yield what a user should know of a ledger, a line each."""
    counts = ", ".join(f"{count} {treatment}" for treatment, count in found["counts"].items())
    yield f"of {len(found['tensors'])} tensors: {counts}"
    conditions = [row["condition"] for row in found["tensors"] if "condition" in row]
    if conditions:
        yield f"condition of the Gram matrices: up to {max(conditions):.3g}"
    ridged = [row for row in found["tensors"] if row.get("ridge")]
    if ridged:
        yield f"{len(ridged)} could be solved for with a ridge only, such as '{ridged[0]['tensor']}'"


def _row(plan: Plan, row: Row, recorded: Mapping[str, Any]) -> LedgerRow:
    call = _learning(row)
    if not isinstance(row.expression, Call) or call is None:
        return {"tensor": row.name, "treatment": "copied" if row.action == "copy" else AVERAGED, "why": row.reason}
    bound = next((bound for bound in _bound(plan.bound) if bound.path == call.path), None)
    if not call.statistics:
        why = row.reason or (plan.learned.why_without(bound, row.name) if bound else "")
        treatment = OF_BASE if call.method.statistics == "coefficients" else AVERAGED
        return {"tensor": row.name, "treatment": treatment, "why": why or "no statistics of it"}
    if call.method.statistics in _TREATMENTS:
        return {"tensor": row.name, "treatment": _TREATMENTS[call.method.statistics], "why": ""}
    if not recorded:
        return {"tensor": row.name, "treatment": AVERAGED, "why": "outside the region"}
    if "why" in recorded:
        return {"tensor": row.name, "treatment": AVERAGED, "why": str(recorded["why"])}
    rows = plan.learned.rows(bound, row.name) if bound else None
    regressed: LedgerRow = {"tensor": row.name, "treatment": REGRESSED, "why": "", "rows": rows}
    return cast(LedgerRow, {**regressed, **recorded})


def _told(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file says of how it was computed, without the units of two models one by one."""
    return {name: value for name, value in about.items() if name not in _OF_UNITS}


def _of_wide_network(plan: Plan) -> Mapping[str, tuple[str, str]]:
    """Return what became of the tensors of two models in a wider network, if the plan has one."""
    return next((source.treatments for source in plan.sources if isinstance(source, WideSource)), {})


def _wide_row(name: str, treatment: str, why: str) -> LedgerRow:
    return {"tensor": name, "treatment": treatment, "why": why}


def _bound(bound: Bound) -> Iterator[BoundCall]:
    """Yield every call of a recipe that has statistics."""
    if isinstance(bound, BoundCall):
        if bound.statistics:
            yield bound
        for child in bound.inputs:
            yield from _bound(child)


def _learning(row: Row) -> Call | None:
    """Return the call of a row that learns from data, if there is one."""
    found: Sequence[Call] = list(calls(row.expression)) if row.expression is not None else []
    return next((call for call in found if call.method.statistics), None)
