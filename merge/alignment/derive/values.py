"""What is known of a tensor while a model is walked through: what its axes carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .factors import Axis, fresh, length, pin


@dataclass(frozen=True)
class Value:
    """A tensor.

    Attributes:
        axes: What each axis carries.
        is_weight: Whether it depends on parameters and buffers alone.
    """

    axes: tuple[Axis, ...]
    is_weight: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(map(length, self.axes))


@dataclass(frozen=True)
class Stack:
    """Tensors that lie behind each other on an axis, all of whose uses take one of them: fused queries, keys, values.

    Attributes:
        values: The tensors; the axis has length 1 in each.
        along: The axis.
    """

    values: tuple[Value, ...]
    along: int


EMPTY = "no entries"

Known = Value | Stack | Sequence[Any] | None


def pinned(shape: Sequence[int], reason: str) -> Value:
    """Return a tensor whose units all stay where they are."""
    return Value(tuple(fresh(size, reason) for size in shape))


def free(shape: Sequence[int]) -> Value:
    """Return a tensor that is the same in whatever order, such as one of zeros."""
    return Value(tuple(fresh(size) for size in shape))


def pin_values(values: Sequence[Value], reason: str) -> None:
    """Pin all axes of tensors."""
    for value in values:
        for axis in value.axes:
            pin(axis, reason)


def replaced(axes: Sequence[Axis], place: int, by: Axis) -> tuple[Axis, ...]:
    """Return axes of which one is another."""
    return (*axes[:place], by, *axes[place + 1 :])
