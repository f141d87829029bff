"""Which of its inputs a network is working on: an encoder's tokens, a decoder's, or an image's patches.

Shapes alone would confuse an encoder with a decoder that reads texts of the same length. A module that is called with
one input of the network works on that input, and so do all modules inside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from .masks import Masks


@contextmanager
def following(module: Any, inputs: Mapping[str, Tensor], masks: Masks) -> Iterator[None]:
    """Keep `Masks.stream` up to date while a network runs once.

    What a module returns is marked as belonging to the module's input: a decoder's cross attention looks at such.

    Args:
        module: The network.
        inputs: The very tensors that it is called with.
        masks: The batch's masks.
    """
    follower = _Follower(inputs, masks)
    with ExitStack() as stack:
        for part in module.modules():
            before = part.register_forward_pre_hook(follower.enter, with_kwargs=True)
            after = part.register_forward_hook(follower.leave)
            stack.callback(before.remove)
            stack.callback(after.remove)
        yield


class _Follower:
    def __init__(self, inputs: Mapping[str, Tensor], masks: Masks) -> None:
        self._streams = {id(inputs[name]): name for name in _streams(inputs, masks)}
        self._masks = masks
        self._outer: list[str | None] = []

    def enter(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Note that a module is called."""
        self._outer.append(self._masks.stream)
        found = {self._streams[id(value)] for value in (*args, *kwargs.values()) if id(value) in self._streams}
        if len(found) == 1:
            self._masks.stream = self._masks.last = found.pop()

    def leave(self, module: Any, args: tuple[Any, ...], output: Any) -> None:
        """Note that it returns."""
        stream, self._masks.stream = self._masks.stream, self._outer.pop()
        if stream is not None:
            for tensor in _tensors(output):
                self._masks.mark(tensor, stream)


def _streams(inputs: Mapping[str, Tensor], masks: Masks) -> Iterable[str]:
    """Return the names of inputs that activations come from: tokens that have a mask, and pixels."""
    return [name for name, tensor in inputs.items() if masks.has(name) or tensor.is_floating_point()]


def _tensors(output: Any) -> list[Tensor]:
    import torch

    values = (
        output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else [output]
    )
    return [value for value in values if isinstance(value, torch.Tensor)]
