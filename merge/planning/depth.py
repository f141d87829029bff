"""Where a tensor lies in its stack of blocks, counted from the names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_BLOCK = re.compile(r"(?:^|(.*?)\.)(\d+)\.")  # the first whole number between dots: experts inside do not count


def block_of(name: str) -> tuple[str, int] | None:
    """Return the stack (the name in front of the block number) and the block, or None outside every stack."""
    match = _BLOCK.match(name)
    return (match[1] or "", int(match[2])) if match else None


def stack_sizes(names: Iterable[str]) -> dict[str, int]:
    """Return the number of blocks of every stack."""
    sizes: dict[str, int] = {}
    for name in names:
        block = block_of(name)
        if block:
            sizes[block[0]] = max(sizes.get(block[0], 0), block[1] + 1)
    return sizes


def relative_depth(name: str, sizes: dict[str, int]) -> float | None:
    """Return i/(L-1) in the tensor's own stack, 1 in a stack of one block, None outside every stack."""
    block = block_of(name)
    if block is None:
        return None
    last = sizes[block[0]] - 1
    return block[1] / last if last else 1.0


def interpolate(values: Sequence[float], depth: float) -> float:
    """Interpolate linearly over values that are spread evenly from depth 0 to depth 1."""
    position = depth * (len(values) - 1)
    below = min(int(position), len(values) - 2)
    share = position - below
    return values[below] * (1 - share) + values[below + 1] * share
