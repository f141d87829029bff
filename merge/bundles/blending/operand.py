"""What is given to those who read a tensor while every sample has a weight of its own.

Networks that keep a projection as a bare parameter, or take a child's weight instead of calling the child, read it in
the midst of a long method: ``x @ self.projection``. What they are given is not the tensor but this. In a function that
is affine in its parameters it takes part as both networks' tensors, and what comes out is interpolated; it answers
questions for type, shape or device; for anything else it raises, and the method is run under vmap instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .axes import BatchAxisError
from .between import between, pull
from .moment import Moment

_JOINT = {"linear", "conv1d", "conv2d", "conv3d", "embedding", "layer_norm", "group_norm", "rms_norm"}
_SINGLE = {
    "matmul",
    "__matmul__",
    "mul",
    "__mul__",
    "__rmul__",
    "add",
    "__add__",
    "__radd__",
}  # affine in one at a time
_SAME_FOR_BOTH = {"t", "T", "mT", "transpose", "permute", "to", "float", "type_as", "contiguous", "view", "reshape"}
_QUESTIONS = {
    "dtype",
    "device",
    "shape",
    "ndim",
    "is_cuda",
    "requires_grad",
    "size",
    "dim",
    "numel",
    "is_floating_point",
}


class UnreadableError(RuntimeError):
    """A tensor of a module is read where every sample would need its own."""


class Operand(Tensor):
    """Both networks' tensors in one: itself it is the first network's."""

    _name: str
    _second: Tensor
    _moment: Moment

    @classmethod
    def of(cls, name: str, first: Tensor, second: Tensor, moment: Moment) -> Operand:
        """Return what stands for two tensors.

        Args:
            name: What they are called.
            first: The first network's.
            second: The other's.
            moment: How the two are mixed.
        """
        operand: Operand = first.detach().as_subclass(cls)
        operand._name, operand._second, operand._moment = name, second, moment
        return operand

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute, answer or refuse."""
        name, kwargs = _name_of(func), kwargs or {}
        with torch._C.DisableTorchFunctionSubclass():
            operands = [part for part in (*args, *kwargs.values()) if isinstance(part, cls)]
            if name in _QUESTIONS:
                return func(*args, **kwargs)
            if operands and (name in _JOINT or (name in _SINGLE and len(operands) == 1)):
                return operands[0]._interpolated(func, args, kwargs)
            if name in _SAME_FOR_BOTH and operands == [args[0]]:
                first, second = (part(func, args, kwargs) for part in (_of_first, _of_second))
                return cls.of(args[0]._name, first, second, args[0]._moment)
        raise UnreadableError(f"{name} of a tensor")

    def _interpolated(self, func: Callable[..., Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
        """Return what a function gives that is affine in its operands."""
        moment, second = self._moment, _of_second(func, args, kwargs)
        if moment.recording:
            moment.axes.record(self._name, [second])
            return second
        (axis,) = moment.axes.of(self._name, [second], len(moment.batch))
        first = _of_first(func, args, kwargs)
        if axis is not None:
            pull(second, first, moment.along(second, axis))
            return second
        if second.ndim < 2 or second.shape[0] != 1:
            raise BatchAxisError(f"{self._name}: all samples share what comes of it")
        return between(first, second, moment.in_front(second.ndim))


def _name_of(func: Any) -> str:
    name: str = getattr(func, "__name__", "")
    return getattr(func.__self__, "__name__", "") if name == "__get__" else name  # tensor.shape and the like


def _of_first(func: Callable[..., Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    return _called(func, args, kwargs, lambda operand: operand.as_subclass(Tensor))


def _of_second(func: Callable[..., Tensor], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    return _called(func, args, kwargs, lambda operand: operand._second)


def _called(
    func: Callable[..., Tensor], args: Sequence[Any], kwargs: Mapping[str, Any], choose: Callable[[Operand], Tensor]
) -> Tensor:
    """Call a function with one of the two networks' tensors in the place of operands."""

    def chosen(part: Any) -> Any:
        return choose(part) if isinstance(part, Operand) else part

    return func(*map(chosen, args), **{name: chosen(part) for name, part in kwargs.items()})
