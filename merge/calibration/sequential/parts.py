"""The parts of a network that are merged one after the other: every block, and what comes after the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError
from .stacks import HINT, Stack

if TYPE_CHECKING:
    from torch import Tensor

    from .activations import Activations
    from .tracks import Running

REGIONS = ("all", "early", "middle", "late")


@dataclass(frozen=True)
class Part:
    """Something that all data can be run through.

    Attributes:
        label: What messages call it.
        places: Its floating parameters and buffers by the names of the checkpoint.
        batches: Number of a model ▸ every batch of its data, ready to run.
    """

    label: str
    places: Mapping[str, Tensor]
    batches: Callable[[int], Iterator[Running]]


def block_part(activations: Activations, stack: Stack, number: int, places: Mapping[str, Tensor]) -> Part:
    """Return a block as a part. ``places`` are those of the whole network."""
    block = stack.blocks[number]
    own = block_places(block, places)
    return Part(stack.label(number), own, lambda model: activations.through(model, block, number))


def tail_part(activations: Activations, places: Mapping[str, Tensor]) -> Part:
    """Return what comes after the last stack as a part, with these places."""
    return Part("what follows the last block", places, activations.after)


def block_places(block: Any, places: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the floating parameters and buffers of a block by their names."""
    own = set(map(id, (*block.parameters(), *block.buffers())))
    return {name: place for name, place in places.items() if id(place) in own and place.is_floating_point()}


def check_blocks(stacks: Sequence[Stack], places: Mapping[str, Tensor], where: str) -> None:
    """Refuse blocks that cannot be exchanged.

    Raises:
        MergeError: A parameter has no tensor of its own in the checkpoint, or serves two blocks.
    """
    placed = {id(place) for place in places.values()}
    users: dict[int, str] = {}
    for stack in stacks:
        for number, block in enumerate(stack.blocks):
            for name, parameter in block.named_parameters():
                label = f"'{name}' of {stack.label(number)}"
                if id(parameter) not in placed:
                    raise MergeError(f"{label} has no tensor of its own in the checkpoint", where=where, hint=HINT)
                if users.setdefault(id(parameter), label) != label:
                    what = f"{label} is the same parameter as {users[id(parameter)]}"
                    raise MergeError(what, where=where, hint=HINT)


def in_region(region: str, number: int, blocks: int) -> bool:
    """Tell whether a block lies in a third of its stack, as `merge.methods.regmean` tells it by its depth."""
    depth = number / (blocks - 1) if blocks > 1 else 1.0
    return region in ("all", REGIONS[1 + min(2, int(3 * depth))])


def check_region(stacks: Sequence[Stack], region: str) -> None:
    """Raise UsageError unless a region holds a block."""
    sizes = [len(stack.blocks) for stack in stacks]
    if not any(in_region(region, number, size) for size in sizes for number in range(size)):
        raise UsageError(f"the region '{region}' holds no block", hint=f"blocks: {', '.join(map(str, sizes))}")
