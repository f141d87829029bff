"""An operation of a traced model, with its arguments by name, and the table of what each operation does to axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .factors import Axis, pin, unify
from .values import Known, Value, pinned


@dataclass
class Marks:
    """How axes were seen to be used, which tells what kind of group they are in the end."""

    seen: list[tuple[str, Axis]] = field(default_factory=list)

    def add(self, mark: str, axis: Axis) -> None:
        """Note a use of an axis."""
        self.seen.append((mark, axis))


@dataclass(frozen=True)
class Call:
    """An operation on tensors.

    Attributes:
        operation: Name without library and underscores: ``linear``.
        where: ``aten.linear in blocks.0.mlp.fc1``, for reasons.
        arguments: By the names that the operation's declaration has; tensors as what is known of them.
        shapes: Of all results.
        marks: Where uses of axes are noted.
    """

    operation: str
    where: str
    arguments: Mapping[str, Any]
    shapes: Sequence[tuple[int, ...]]
    marks: Marks

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first result."""
        return self.shapes[0]

    def tensor(self, name: str) -> Value:
        """Return a tensor that must be there."""
        value = self.arguments[name]
        if not isinstance(value, Value):
            raise TypeError(f"{self.where}: '{name}' is no tensor")
        return value

    def optional(self, name: str) -> Value | None:
        """Return a tensor that may be left out."""
        value = self.arguments.get(name)
        return value if isinstance(value, Value) else None

    def get(self, name: str, default: Any = None) -> Any:
        """Return an argument that is no tensor."""
        value = self.arguments.get(name)
        return default if value is None else value

    def dimension(self, name: str = "dim", rank: int | None = None) -> int:
        """Return an argument that names an axis, counted from 0."""
        rank = len(self.subject.axes) if rank is None else rank
        return int(self.get(name, 0)) % max(rank, 1)

    @property
    def subject(self) -> Value:
        """The tensor that the operation is applied to."""
        return self.tensors[0]

    @property
    def tensors(self) -> list[Value]:
        """All tensors among the arguments, in order, those in lists too."""
        found: list[Value] = []
        for argument in self.arguments.values():
            members = argument if isinstance(argument, list | tuple) else [argument]
            found += [member for member in members if isinstance(member, Value)]
        return found

    def unify(self, first: Axis, second: Axis) -> None:
        """Let two axes carry the same units."""
        unify(first, second, self.where)

    def pin(self, *axes: Axis) -> None:
        """Keep axes as they are."""
        for axis in axes:
            pin(axis, self.where)

    def pinned(self, shape: Sequence[int]) -> Value:
        """Return a tensor whose units stay where they are."""
        return pinned(shape, self.where)

    def mark(self, mark: str, axis: Axis) -> None:
        """Note how an axis is used."""
        self.marks.add(mark, axis)


Handler = Callable[[Call], Known]
HANDLERS: dict[str, Handler] = {}


def handles(*operations: str) -> Callable[[Handler], Handler]:
    """Enter a function into the table as what these operations do to axes."""

    def enter(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(operations, handler))
        return handler

    return enter
