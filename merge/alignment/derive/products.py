"""Products of matrices: what is summed over goes together."""

from __future__ import annotations

from .calls import Call, handles
from .elementwise import broadcast
from .factors import Axis
from .unknown import all_pinned
from .values import Value


@handles("linear")
def linear(call: Call) -> Value:
    """Inputs [..., in], weight [out, in] or [in], bias [out]."""
    inputs, weight = call.tensor("input"), call.tensor("weight")
    call.unify(inputs.axes[-1], weight.axes[-1])
    call.mark("read by linear", weight.axes[-1])
    if len(weight.axes) == 1:
        return Value(inputs.axes[:-1])
    call.mark("written by linear", weight.axes[0])
    _add_bias(call, call.optional("bias"), weight.axes[0])
    return Value((*inputs.axes[:-1], weight.axes[0]))


def _add_bias(call: Call, bias: Value | None, axis: Axis) -> None:
    if bias is not None:
        call.unify(bias.axes[0], axis)


@handles("matmul", "mm", "bmm", "mv", "dot", "linalg_matmul")
def matmul(call: Call) -> Value:
    """Tensors [..., m, k] and [..., k, n], or vectors [k]."""
    return _product(call, *call.tensors[:2])


@handles("addmm", "baddbmm", "addmv")
def add_product(call: Call) -> Value:
    """A product, and what is added to it."""
    added, first, second = call.tensors[:3]
    return broadcast(call, [_product(call, first, second), added], len(call.shape))


def _product(call: Call, first: Value, second: Value) -> Value:
    rows = () if len(first.axes) == 1 else (first.axes[-2],)
    columns = () if len(second.axes) == 1 else (second.axes[-1],)
    summed = second.axes[-1] if len(second.axes) == 1 else second.axes[-2]
    call.unify(first.axes[-1], summed)
    if second.is_weight and not first.is_weight:
        call.mark("read by linear", summed)
        for axis in columns:
            call.mark("written by linear", axis)
    rank = max(len(first.axes), len(second.axes), 2) - 2
    batch = broadcast(call, [Value(first.axes[:-2]), Value(second.axes[:-2])], rank)
    return Value((*batch.axes, *rows, *columns))


@handles("einsum")
def einsum(call: Call) -> Value:
    """A sum over products, as a formula says it."""
    inputs, _, outputs = str(call.get("equation")).replace(" ", "").partition("->")
    terms = inputs.split(",")
    if "." in inputs or not outputs or any(len(set(term)) != len(term) for term in terms):
        return all_pinned(call)
    found: dict[str, Axis] = {}
    for term, value in zip(terms, call.tensors, strict=True):
        for letter, axis in zip(term, value.axes, strict=True):
            if letter in found and found[letter] and axis:
                call.unify(found[letter], axis)
            found[letter] = found.get(letter) or axis
    return Value(tuple(found[letter] for letter in outputs))


@handles("outer")
def outer(call: Call) -> Value:
    """All products of two vectors' elements."""
    first, second = call.tensors
    return Value((first.axes[0], second.axes[0]))
