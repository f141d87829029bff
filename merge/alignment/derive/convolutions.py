"""Convolutions, and what else works on grids of places: channels pass, places stay."""

from __future__ import annotations

from collections.abc import Sequence

from .calls import Call, handles
from .factors import Axis, fresh, leaves, pin
from .values import Value

PLACES = "the places of an image or a sequence"
KERNEL = "the places of a convolution's kernel"
POOLS = "avg_pool max_pool adaptive_avg_pool lp_pool upsample_nearest upsample_nearest_exact"
RESIZES = "upsample_linear1d upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d"


@handles("conv1d", "conv2d", "conv3d", "convolution")
def convolution(call: Call) -> Value:
    """Weight [out, in / groups, places], in groups of channels that do not see each other."""
    if call.get("transposed", False):
        return _transposed(call)
    weight = call.tensor("weight")
    blocks, each, own = _blocks(call, weight.shape[0])
    call.unify(weight.axes[0], [*blocks, *own])
    call.unify(weight.axes[1], each)
    return _results(call, blocks, each, weight.axes[0], weight.axes[2:])


@handles("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def transposed(call: Call) -> Value:
    """The other way round: weight [in, out / groups, places]."""
    return _transposed(call)


def _transposed(call: Call) -> Value:
    weight = call.tensor("weight")
    blocks, each, own = _blocks(call, weight.shape[1] * call.get("groups", 1))
    call.unify(weight.axes[0], [*blocks, *each])
    call.unify(weight.axes[1], own)
    return _results(call, blocks, each, [*blocks, *own], weight.axes[2:])


def _blocks(call: Call, written: int) -> tuple[Axis, Axis, Axis]:
    """Return the axes of the groups, of the channels read in each, and of those written in each."""
    groups = int(call.get("groups", 1))
    channels = call.tensor("input").shape[_channels(call)]
    return fresh(groups), fresh(channels // groups), fresh(written // groups)


def _channels(call: Call) -> int:
    """Return the axis of channels, counted from the end: images may come without a batch."""
    return 1 - len(call.tensor("weight").axes)


def _results(call: Call, blocks: Axis, each: Axis, written: Axis, kernel: Sequence[Axis]) -> Value:
    inputs, place = call.tensor("input"), _channels(call)
    call.unify(inputs.axes[place], [*blocks, *each])
    bias = call.optional("bias")
    if bias is not None:
        call.unify(bias.axes[0], written)
    for axis in kernel:
        pin(axis, KERNEL)
    kind = "linear" if not blocks and not any(leaves(axis) for axis in kernel) else "convolution"
    call.mark(f"read by {kind}", inputs.axes[place])
    call.mark(f"written by {kind}", written)
    return _on_places(call, Value((*inputs.axes[:place], written, *inputs.axes[place + 1 :])), -place - 1)


def _on_places(call: Call, value: Value, count: int) -> Value:
    """Pin the last axes, of which a result may have another number of places."""
    kept = len(value.axes) - count
    for axis in value.axes[kept:]:
        pin(axis, PLACES)
    return Value((*value.axes[:kept], *(fresh(size, PLACES) for size in call.shape[kept:])))


@handles(*(f"{kind}{count}d" for kind in POOLS.split() for count in (1, 2, 3)), *RESIZES.split())
def pool(call: Call) -> Value:
    """Pooling and resizing: as many axes of places as the name says."""
    return _on_places(call, call.subject, int(call.operation[-2]))
