"""Which products had the very same tensor as their input: by identity, since equal numbers may be chance."""

from __future__ import annotations

import weakref
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class SameInputs:
    """Numbers the inputs of one batch in the order in which they come.

    Tensors are held weakly: holding a whole forward pass's inputs would take more memory than the pass. A tensor that
    was changed in place in between counts as another one.
    """

    def __init__(self) -> None:
        self._numbers: dict[int, tuple[weakref.ref[Tensor], int, int]] = {}
        self._seen: defaultdict[str, list[int]] = defaultdict(list)
        self._count = 0

    def note(self, name: str, inputs: Tensor) -> int:
        """Note that a parameter has this input, and return the input's number."""
        number = self._number(inputs)
        self._seen[name].append(number)
        return number

    def _number(self, inputs: Tensor) -> int:
        reference, version, number = self._numbers.get(id(inputs), (None, 0, 0))
        if reference is not None and reference() is inputs and version == inputs._version:
            return number
        self._count += 1
        self._numbers[id(inputs)] = (weakref.ref(inputs), inputs._version, self._count)
        return self._count

    def take(self) -> dict[str, tuple[int, ...]]:
        """Return the numbers of every parameter's inputs in order, and forget all."""
        seen = {name: tuple(numbers) for name, numbers in self._seen.items()}
        self._numbers.clear()
        self._seen.clear()
        return seen
