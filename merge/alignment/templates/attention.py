"""Groups of an attention block: its heads, and what may move within each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .draft import Draft, cut

UNKNOWN_HEADS = "the number of heads is not known"


class Attention(NamedTuple):
    """The axes over which the heads of a block lie, as ``NAME:AXIS``, with ``@OFFSET`` where they are fused.

    Attributes:
        queries, keys: Rows that make queries and keys, biases included.
        values: Rows that make values.
        outputs: Columns of the projection that follows.
        size: Units of a head.
        heads: Heads of keys and values; None where that is not known.
        shared_by: Heads of queries that share one of keys and values.
        fixed_within: Why units within heads of queries and keys stay; empty where they can move.
    """

    queries: Sequence[str]
    keys: Sequence[str]
    values: Sequence[str]
    outputs: Sequence[str]
    size: int = 0
    heads: int | None = None
    shared_by: int = 1
    fixed_within: str = ""

    @property
    def all(self) -> list[str]:
        """All axes."""
        return [*self.queries, *self.keys, *self.values, *self.outputs]


def fused(weight: str, bias: str, output: str, *, width: int, heads: int | None, axis: int = 0) -> Attention:
    """Return the axes of queries, keys and values that lie in one tensor, in this order.

    Args:
        weight: Name of the tensor.
        bias: Name of its bias, which may be absent.
        output: Axis of the projection that follows.
        width: Units of all heads together.
        heads: Their number, where it is known.
        axis: Axis of the weight on which they lie.
    """
    starts = (number * width for number in range(3))
    queries, keys, values = ([f"{weight}:{axis}@{start}", f"{bias}:0@{start}?"] for start in starts)
    return Attention(queries, keys, values, [output], width // heads if heads else 0, heads)


def separate(names: Sequence[str], *, width: int, heads: int | None) -> Attention:
    """Return the axes of four projections, of queries, keys, values and the output, whose biases may be absent."""
    *inputs, output = names
    queries, keys, values = ([f"{name}.weight:0", f"{name}.bias:0?"] for name in inputs)
    return Attention(queries, keys, values, [f"{output}.weight:1"], width // heads if heads else 0, heads)


def known_heads(heads: int | None, width: int) -> int | None:
    """Return the number of heads, or None when the width is no multiple of it."""
    return heads if heads and width % heads == 0 else None


def add_attention(draft: Draft, attention: Attention, label: str = "") -> None:
    """Add the groups of every block; the names of its tensors hold ``{i}``.

    Args:
        draft: The template's draft.
        attention: The axes.
        label: What the groups' names begin with: ``vision.``.
    """
    if attention.heads is None:
        draft.stays(UNKNOWN_HEADS, [text.replace("{i}", "*") for text in attention.all])
        draft.notes.append(f"{label}heads stay as they are, since {UNKNOWN_HEADS}: put config.json beside the weights")
        return
    heads, size, shared = attention.heads, attention.size, attention.shared_by
    of_queries, of_keys = ((heads, shared, size), (heads, size)) if shared > 1 else ((heads, size), (heads, size))
    queries, outputs = attention.queries, attention.outputs
    name = f"{label}heads.{{i}}"
    draft.group(
        name,
        [*cut([*queries, *outputs], of_queries, 0), *cut([*attention.keys, *attention.values], of_keys, 0)],
        kind="heads",
    )
    if shared > 1:
        shares = cut([*queries, *outputs], of_queries, 1)
        draft.group(f"{name}.queries", shares, kind="heads", parent=name)
    if attention.fixed_within:
        still = [text.replace("{i}", "*") for text in (*queries, *attention.keys)]
        draft.stays(attention.fixed_within, still)
    else:
        both = [*cut(queries, of_queries, len(of_queries) - 1), *cut(attention.keys, of_keys, 1)]
        draft.group(f"{name}.qk", both, kind="within-heads", parent=name)
    both = [*cut(attention.values, of_keys, 1), *cut(outputs, of_queries, len(of_queries) - 1)]
    draft.group(f"{name}.vo", both, kind="within-heads", parent=name)
