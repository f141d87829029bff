"""How a block is called: its arguments, and where each of them comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Held:
    """The place of an argument among the tensors that are kept."""

    number: int


@dataclass(frozen=True)
class Passed:
    """The place of an argument among the outputs of the block before."""

    number: int


@dataclass(frozen=True)
class Call:
    """The arguments of a block: how they nest, and for each one a `Held`, a `Passed`, or the very value."""

    nesting: Any
    leaves: tuple[Any, ...]

    def arguments(self, held: Mapping[int, Tensor], passed: Sequence[Any], device: str) -> Any:
        """Return positional and named arguments; tensors are copies, since some blocks write into their input."""
        from torch.utils._pytree import tree_unflatten

        def value(leaf: Any) -> Any:
            found = held[leaf.number] if isinstance(leaf, Held) else leaf
            found = passed[leaf.number] if isinstance(leaf, Passed) else found
            return found.to(device, copy=True) if isinstance(leaf, Held | Passed) else found

        return tree_unflatten([value(leaf) for leaf in self.leaves], self.nesting)

    def holds(self) -> set[int]:
        """Return the numbers of the kept tensors that it takes."""
        return {leaf.number for leaf in self.leaves if isinstance(leaf, Held)}
