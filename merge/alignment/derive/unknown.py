"""What nothing is known of: everything that it touches stays in its order, which is always right."""

from __future__ import annotations

from .calls import Call
from .factors import leaves
from .values import Known, Value, pin_values, pinned


def unknown(call: Call) -> Known:
    """Pin all axes of all operands and results, and say which operation it was."""
    reason = _reason(call)
    pin_values(call.tensors, reason)
    results = [pinned(shape, reason) for shape in call.shapes]
    return results[0] if len(results) == 1 else results


def all_pinned(call: Call) -> Value:
    """Do the same for an operation with one result."""
    pin_values(call.tensors, _reason(call))
    return pinned(call.shape, _reason(call))


def _reason(call: Call) -> str:
    """Return why: this operation, unless all that it gets was pinned before."""
    reasons = [leaf.reason for value in call.tensors for axis in value.axes for leaf in leaves(axis)]
    if reasons and None not in reasons:
        return str(reasons[0])
    return f"{call.where} is not known to treat units alike"
