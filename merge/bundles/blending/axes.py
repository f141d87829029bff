"""Finding the axis of a tensor along which the samples of a batch lie.

Names and conventions do not tell: recurrent and older attention layers put the batch second, windows of an image are
folded into it, tables of positions have none. What tells is how shapes change from one sample to several.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor


class BatchAxisError(RuntimeError):
    """A tensor's batch axis cannot be told, or there is none where one is needed."""


class BatchAxes:
    """Remembers, for every call of every module, the shapes for one sample and then the axis of the batch.

    Attributes:
        types: Those of all tensors in the run of one sample: narrow ones tell that sums are rough.
    """

    def __init__(self) -> None:
        self._shapes: dict[str, list[list[tuple[int, ...]]]] = defaultdict(list)
        self._found: dict[tuple[str, int], list[int | None]] = {}
        self._calls: Counter[str] = Counter()
        self.types: set[torch.dtype] = set()

    def begin(self) -> None:
        """Begin another run of the network over a batch."""
        self._calls.clear()

    def forget(self) -> None:
        """Forget everything, before one sample is run."""
        self._shapes.clear()
        self._found.clear()
        self.types.clear()

    def record(self, module: str, tensors: Sequence[Tensor]) -> None:
        """Take down the shapes of a module's tensors in a run of one sample."""
        self.types.update(tensor.dtype for tensor in tensors)
        self._shapes[module].append([tuple(tensor.shape) for tensor in tensors])

    def of(self, module: str, tensors: Sequence[Tensor], batch: int) -> list[int | None]:
        """Return the axis of the batch for each of a module's tensors; None where a tensor is shared by all samples.

        Args:
            module: Whose tensors these are, in its next call of this run.
            tensors: In the order in which they were recorded.
            batch: The number of samples.

        Raises:
            BatchAxisError: When the call was not seen before, or a size is no multiple of the batch.
        """
        call = (module, self._calls[module])
        self._calls[module] += 1
        if call not in self._found:
            self._found[call] = self._find(call, tensors, batch)
        axes = self._found[call]
        if len(axes) != len(tensors):
            raise BatchAxisError(f"{module} was called in another way before")
        for axis, tensor in zip(axes, tensors, strict=True):
            if axis is not None and tensor.shape[axis] % batch:
                raise BatchAxisError(f"{module}: {tuple(tensor.shape)} holds no {batch} samples along axis {axis}")
        return axes

    def _find(self, call: tuple[str, int], tensors: Sequence[Tensor], batch: int) -> list[int | None]:
        module, number = call
        recorded = self._shapes[module]
        if number >= len(recorded) or len(recorded[number]) != len(tensors):
            raise BatchAxisError(f"{module} is called in another way for one sample than for several")
        return [
            _axis(module, shape, tuple(tensor.shape), batch)
            for shape, tensor in zip(recorded[number], tensors, strict=True)
        ]


def _axis(module: str, single: tuple[int, ...], several: tuple[int, ...], batch: int) -> int | None:
    """Return the axis that has grown with the number of samples, or None.

    Texts may be padded to other lengths for one sample than for several. Where a length has grown by the same factor,
    the axis with the fewest entries for one sample is the batch.
    """
    if len(single) != len(several):
        raise BatchAxisError(f"{module}: {single} for one sample, {several} for {batch}")
    sizes = zip(single, several, strict=True)
    grown = [(one, axis) for axis, (one, many) in enumerate(sizes) if many == one * batch != one]
    return min(grown)[1] if grown else None
