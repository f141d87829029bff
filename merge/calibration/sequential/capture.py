"""A network run with the blocks of a stack taken out, which shows what it hands to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from .calls import Call
from .recorder import Forward, Recorder, StackEndedError, marker_of
from .stacks import HINT, Stack

if TYPE_CHECKING:
    from torch import Tensor

    from ..subject import Subject


@dataclass(frozen=True)
class Finished:
    """A stack that need not run again for a batch: what its last block put out.

    Attributes:
        leaves: Tensors, and whatever else is in the output.
        nesting: How they nest.
    """

    stack: Stack
    leaves: Sequence[Any]
    nesting: Any


def capture(
    subject: Subject, stack: Stack, inputs: Mapping[str, Tensor], finished: Sequence[Finished]
) -> tuple[list[Call], dict[int, Tensor]]:
    """Return how each block of a stack is called, and the tensors that are kept, on the CPU.

    Args:
        subject: The network.
        stack: What is captured.
        inputs: One batch.
        finished: The stacks that run before it.

    Raises:
        MergeError: Something runs between two blocks, or the network is never there.
    """
    import torch

    recorder = Recorder(stack, subject.name)
    stubs = [recorder.stub(number, block.forward) for number, block in enumerate(stack.blocks)]
    try:
        with torch.no_grad(), skipping(finished, subject.device), _replaced(stack.blocks, stubs):
            subject.run(inputs)
    except StackEndedError:
        return recorder.calls, recorder.held
    raise MergeError(f"the blocks of '{stack.name}' do not run on every batch", where=subject.name, hint=HINT)


@contextmanager
def skipping(finished: Sequence[Finished], device: str) -> Iterator[None]:
    """Let the blocks of finished stacks do nothing; the last one of each puts out what is known."""
    blocks = [block for each in finished for block in each.stack.blocks]
    with _replaced(blocks, [stub for each in finished for stub in _known_outputs(each, device)]):
        yield


def _known_outputs(finished: Finished, device: str) -> list[Forward]:
    import torch
    from torch.utils._pytree import tree_unflatten

    leaves = [leaf.to(device) if isinstance(leaf, torch.Tensor) else leaf for leaf in finished.leaves]
    output, marked = (tree_unflatten(each, finished.nesting) for each in (leaves, [marker_of(leaf) for leaf in leaves]))
    others = len(finished.stack.blocks) - 1
    return [*[lambda *_, **__: marked] * others, lambda *_, **__: output]


@contextmanager
def _replaced(blocks: Sequence[Any], stubs: Sequence[Forward]) -> Iterator[None]:
    """Give blocks other ``forward`` methods for a while."""
    before = [vars(block).get("forward") for block in blocks]
    try:
        for block, stub in zip(blocks, stubs, strict=True):
            block.forward = stub
        yield
    finally:
        for block, own in zip(blocks, before, strict=True):
            vars(block).pop("forward", None)
            if own is not None:
                block.forward = own
