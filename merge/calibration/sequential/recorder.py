"""Stand-ins for the blocks of a stack, which note how they are called.

They return markers, tensors that hold nothing. Where a marker of one block comes in as an argument of the next, that
one takes the first one's output; whatever else comes in (masks, rotary embeddings, states of an encoder) does not
depend on the blocks and is kept. Markers are full of NaN, so that anything computed from one gives itself away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from .calls import Call, Held, Passed
from .stacks import HINT, Stack

if TYPE_CHECKING:
    from torch import Tensor

Forward = Callable[..., Any]


class StackEndedError(BaseException):
    """All blocks were reached. No ``except Exception`` of a model shall stop it."""


def marker_of(leaf: Any) -> Any:
    """Return a tensor like a block's output that holds nothing; other things as they are."""
    import torch

    if not isinstance(leaf, torch.Tensor):
        return leaf
    return torch.full_like(leaf, float("nan")) if leaf.is_floating_point() else torch.zeros_like(leaf)


class Recorder:
    """Makes the stand-ins.

    Args:
        stack: The blocks.
        where: The model, for messages.

    Attributes:
        calls: How each block was called.
        held: Tensors that are kept, on the CPU, by their numbers in the calls.
    """

    def __init__(self, stack: Stack, where: str) -> None:
        self.calls: list[Call] = []
        self.held: dict[int, Tensor] = {}
        self._stack, self._where = stack, where
        self._numbers: dict[int, tuple[Tensor, int]] = {}  # by identity; the tensors stay alive with their ids
        self._blank: list[Any] = []
        self._nesting: Any = None
        self._markers: list[list[Any]] = []

    def stub(self, number: int, forward: Forward) -> Forward:
        """Return a stand-in. Only the first block really runs, for the form and shapes of its output."""
        from torch.utils._pytree import tree_flatten, tree_unflatten

        def stand_in(*args: Any, **kwargs: Any) -> Any:
            leaves, nesting = tree_flatten((args, kwargs))
            self.calls.append(Call(nesting, tuple(self._note(leaf, number) for leaf in leaves)))
            self._check(number)
            if number == len(self._stack.blocks) - 1:
                raise StackEndedError
            if number == 0:
                outputs, self._nesting = tree_flatten(forward(*args, **kwargs))
                self._blank = [marker_of(leaf) for leaf in outputs]
            self._markers.append([_alias(leaf) for leaf in self._blank])
            return tree_unflatten(self._markers[-1], self._nesting)

        return stand_in

    def _note(self, leaf: Any, number: int) -> Any:
        import torch

        if not isinstance(leaf, torch.Tensor):
            if hasattr(leaf, "get_seq_length"):
                raise self._refusal(number, "is handed a cache of keys and values")
            return leaf
        for place, marker in enumerate(self._markers[-1] if self._markers else ()):
            if leaf is marker:
                return Passed(place)
        if number and leaf.is_floating_point() and bool(leaf.isnan().any()):
            raise self._refusal(number, "takes something that is computed from the outputs of the blocks before it")
        return Held(self._hold(leaf))

    def _hold(self, tensor: Tensor) -> int:
        known = self._numbers.get(id(tensor))
        if known is not None:
            return known[1]
        number = len(self._numbers)
        self._numbers[id(tensor)] = (tensor, number)
        self.held[number] = tensor.detach().to("cpu", copy=True)
        return number

    def _check(self, number: int) -> None:
        """Refuse a block that does not take the output of the one before as it is."""
        if number and not any(isinstance(leaf, Passed) for leaf in self.calls[-1].leaves):
            raise self._refusal(number, f"does not take what {self._stack.label(number - 1)} puts out as it is")
        if any(leaf._version for leaf in self._blank if hasattr(leaf, "_version")):
            raise self._refusal(number, "takes outputs of the blocks before it that were changed in between")

    def _refusal(self, number: int, what: str) -> MergeError:
        return MergeError(f"{self._stack.label(number)} {what}", where=self._where, hint=HINT)


def _alias(leaf: Any) -> Any:
    """Return another object for the same memory: all markers of a batch together take that of one."""
    import torch

    return leaf.view_as(leaf) if isinstance(leaf, torch.Tensor) else leaf
