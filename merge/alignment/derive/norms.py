"""Normalisations: their gains and biases go with the units that they scale."""

from __future__ import annotations

from .calls import Call, handles
from .factors import Axis, fresh
from .values import Value


@handles("batch_norm", "instance_norm")
def batch_norm(call: Call) -> Value:
    """Gain, bias and running statistics, each [channels]; channels are axis 1."""
    channels = call.subject.axes[1]
    for name in ("weight", "bias", "running_mean", "running_var"):
        _follow(call, name, channels)
    call.mark("batch norm", channels)
    return Value(call.subject.axes)


@handles("layer_norm", "rms_norm", "fused_rms_norm")
def layer_norm(call: Call) -> Value:
    """Gain and bias of the shape of the last axes."""
    for name in ("weight", "bias"):
        parameter = call.optional(name)
        if parameter is not None:
            count = len(parameter.axes)
            for ours, theirs in zip(call.subject.axes[-count:], parameter.axes, strict=True):
                call.unify(ours, theirs)
    return Value(call.subject.axes)


@handles("group_norm")
def group_norm(call: Call) -> Value:
    """Channels, axis 1, as (groups, channels of each): statistics are taken over a group."""
    channels, groups = call.subject.axes[1], int(call.get("num_groups"))
    call.unify(channels, [*fresh(groups), *fresh(call.subject.shape[1] // groups)])
    for name in ("weight", "bias"):
        _follow(call, name, channels)
    return Value(call.subject.axes)


def _follow(call: Call, name: str, channels: Axis) -> None:
    parameter = call.optional(name)
    if parameter is not None:
        call.unify(channels, parameter.axes[0])
