"""Operations that treat every element by itself: the units of all operands go together."""

from __future__ import annotations

from collections.abc import Sequence

from .calls import Call, handles
from .factors import Axis, cut
from .values import Value, free, replaced

ONE_OPERAND = """
abs acos acosh alias alpha_dropout asin asinh atan atanh bitwise_not bool ceil celu clamp clamp_max clamp_min clip
clone contiguous cos cosh deg2rad detach detach_copy digamma dropout elu erf erfc erfinv exp exp2 expm1
feature_alpha_dropout feature_dropout float floor frac gelu hardshrink hardsigmoid hardswish hardtanh isfinite isinf
isnan leaky_relu lgamma lift_fresh_copy log log10 log1p log2 log_sigmoid logical_not logit mish nan_to_num neg
positive reciprocal relu relu6 round rrelu rsqrt selu sigmoid sign silu sin sinh softplus softshrink softsign
special_expit sqrt square tan tanh threshold to trunc to_copy
"""
SEVERAL_OPERANDS = """
addcdiv addcmul and atan2 bitwise_and bitwise_or bitwise_xor copysign div eq floor_divide fmax fmin fmod ge greater
greater_equal gt hypot le lerp less less_equal logaddexp logical_and logical_or logical_xor lt masked_fill maximum
minimum mul multiply ne not_equal or pow remainder rsub sub subtract true_divide where xlogy xor
"""
CONSTANTS = "zeros zeros_like new_zeros ones ones_like new_ones full full_like new_full scalar_tensor"


def broadcast(call: Call, values: Sequence[Value], rank: int) -> Value:
    """Bring operands together, aligned from the last axis on, where axes of length 1 are repeated."""
    axes: list[Axis] = []
    for place in range(1, rank + 1):
        here = [value.axes[-place] for value in values if len(value.axes) >= place]
        long = [axis for axis in here if axis]
        for other in long[1:]:
            call.unify(long[0], other)
        axes.append(long[0] if long else [])
    return Value(tuple(reversed(axes)))


@handles(*SEVERAL_OPERANDS.split())
def several(call: Call) -> Value:
    """Add, compare, choose."""
    return broadcast(call, call.tensors, len(call.shape))


@handles(*ONE_OPERAND.split())
def one(call: Call) -> Value:
    """Activations, casts, copies; other tensors, such as one whose type is taken, do not matter."""
    bounds = [value for name in ("min", "max") if (value := call.optional(name))]
    return broadcast(call, [call.subject, *bounds], len(call.shape))


@handles("type_as")
def type_as(call: Call) -> Value:
    """Cast to the type of another tensor."""
    return Value(call.tensor("self").axes)


@handles("add")
def add(call: Call) -> Value:
    """Add; two activations of one shape that are added are a skip connection."""
    operands = call.tensors
    if len(operands) == 2 and operands[0].shape == operands[1].shape and not any(one.is_weight for one in operands):
        for axis in operands[0].axes:
            call.mark("skip", axis)
    return broadcast(call, operands, len(call.shape))


@handles("softmax", "log_softmax", "safe_softmax", "softmin")
def softmax(call: Call) -> Value:
    """Normalise along an axis; attention does so to [..., heads, queries, keys]."""
    if len(call.subject.axes) > 2:
        call.mark("heads", call.subject.axes[-3])
    return Value(call.subject.axes)


@handles("prelu")
def prelu(call: Call) -> Value:
    """A slope for each channel, on axis 1, or one for all."""
    channels = call.tensor("weight").axes[0]
    if channels and len(call.subject.axes) > 1:
        call.unify(call.subject.axes[1], channels)
    return Value(call.subject.axes)


@handles("glu")
def glu(call: Call) -> Value:
    """One half of an axis gates the other."""
    value, dim = call.subject, call.dimension()
    half = value.shape[dim] // 2
    halves = cut(value.axes[dim], [half, half])
    if halves is None:
        call.pin(value.axes[dim])
        return Value(replaced(value.axes, dim, call.pinned([half]).axes[0]))
    call.unify(halves[0], halves[1])
    return Value(replaced(value.axes, dim, halves[0]))


@handles(*CONSTANTS.split())
def constant(call: Call) -> Value:
    """The same number everywhere."""
    return free(call.shape)
