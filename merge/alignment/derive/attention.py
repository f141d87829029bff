"""Attention as one operation."""

from __future__ import annotations

from .calls import Call, handles
from .elementwise import broadcast
from .factors import fresh
from .values import Known, Value


@handles("scaled_dot_product_attention")
def attention(call: Call) -> Known:
    """Queries [..., heads, L, E], keys [..., heads, S, E], values [..., heads, S, F] ▸ [..., heads, L, F].

    With grouped queries several heads of queries share one of keys and values.

    Returns:
        The result. The scores, which no argument shows, are noted as well: what lies within a head must not be thought
        to lie within the places too.
    """
    queries, keys, values = (call.tensor(name) for name in ("query", "key", "value"))
    if call.get("enable_gqa", False):
        keys, values = _repeated(keys, queries), _repeated(values, queries)
    call.unify(queries.axes[-1], keys.axes[-1])
    call.unify(keys.axes[-2], values.axes[-2])
    rank = len(call.shape) - 2
    batch = broadcast(call, [Value(one.axes[:-2]) for one in (queries, keys, values)], rank).axes
    if batch:
        call.mark("heads", batch[-1])
    scores = Value((*batch, queries.axes[-2], keys.axes[-2]))
    mask = call.optional("attn_mask")
    if mask is not None:
        broadcast(call, [scores, mask], len(scores.axes))
    if call.get("is_causal", False):
        call.pin(queries.axes[-2], keys.axes[-2])
    return Value((*batch, queries.axes[-2], values.axes[-1]))


def _repeated(shared: Value, queries: Value) -> Value:
    """Return keys or values with each head repeated for the heads of queries that it serves."""
    times = queries.shape[-3] // shared.shape[-3]
    return Value((*shared.axes[:-3], [*shared.axes[-3], *fresh(times)], *shared.axes[-2:]))
