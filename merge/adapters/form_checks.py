"""Whether the tensors that an adapter has for a module are all there, go together, and fit the weight."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from ..checkpoints.header import TensorInfo
from ..errors import MergeError
from .differences import LowRank, Whole

Parts = Mapping[str, TensorInfo]
Shape = tuple[int, ...]


class FormChecks:
    """Refuses tensors of a module that are no form of a difference of its weight.

    Args:
        module: The module's name, for messages.
        parts: Its tensors by what they are: ``down``, ``up`` and ``mid`` of LoRA, ``diff``, those of LoHa and LoKr by
            their own names.
        weight: Shape of the weight: [outputs, inputs, kernel …].
        transposed: Whether it is stored as [inputs, outputs].
        where: The adapter, for messages.
        hint: What to do where shapes do not fit.
    """

    def __init__(self, module: str, parts: Parts, weight: Shape, transposed: bool, where: str, hint: str) -> None:
        self._module, self._parts, self._weight = module, parts, weight
        self._transposed, self._where, self._hint = transposed, where, hint

    def _check_ranks(self, left: Shape, right: Shape, core: TensorInfo | None) -> None:
        expected = (*left, *right)
        if len(expected) != 2 or 0 in expected:
            what = f"the factors of '{self._module}' are no matrices"
            raise MergeError(what, where=self._where, hint="a sharded training run must gather them before it saves")
        if core is not None:
            if core.shape[:2] != expected or len(core.shape) < 3:
                raise self._unfit(f"its core '{core.name}' is {list(core.shape)}, and the ranks are {list(expected)}")
        elif left != right:
            raise self._unfit(f"its factors are of rank {left[0]} and {right[0]}")

    def _fit(self, shape: Shape) -> None:
        """Refuse a shape that is not the weight's; kernels of one entry may be there or not."""
        if trimmed(shape) != trimmed(self._weight):
            raise self._unfit(f"its tensors make {list(shape)} in place of the base's {list(self._weight)}")

    def _fit_flat(self, shape: Shape) -> None:
        """Refuse rows and columns that are not the weight's, whose kernel counts among its columns."""
        if (shape[0], prod(shape[1:])) != (prod(self._weight[:1]), prod(self._weight[1:])):
            raise self._unfit(f"its tensors make {list(shape)} in place of the base's {list(self._weight)}")

    def _given(self, *names: str) -> list[str]:
        return [name for name in names if name in self._parts]

    def _only(self, *needed: str) -> None:
        missing = [name for name in needed if name not in self._parts]
        surplus = sorted(self._parts.keys() - set(needed))
        if missing:
            raise self._lacking(missing[0])
        if surplus:
            raise MergeError(f"'{self._module}' has a '{surplus[0]}' that nothing accounts for", where=self._where)

    def _lacking(self, name: str) -> MergeError:
        return MergeError(f"'{self._module}' lacks its '{name}'", where=self._where, hint="save it anew")

    def _unfit(self, what: str) -> MergeError:
        return MergeError(f"'{self._module}' does not fit: {what}", where=self._where, hint=self._hint)


def trimmed(shape: Shape) -> Shape:
    """Return a shape without the ones at its end, of which a 1x1 convolution has two and a matrix none."""
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def flat_shape(side: Whole | LowRank) -> Shape:
    """Return rows and columns of a matrix, with the kernel among its columns."""
    if isinstance(side, Whole):
        shape = side.tensor.shape
        return (shape[0], prod(shape[1:])) if shape else (0, 0)
    rows = side.left.shape[1:2] if side.turned else side.left.shape[:1]
    return (*rows, prod(side.right.shape[1:]) * (prod(side.core.shape[2:]) if side.core is not None else 1))
