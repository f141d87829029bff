"""``block:IN00-IN05,M00,OUT*``: the tensors of named blocks of a diffusion model, where a pattern is expected."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Iterator

from ..errors import UsageError, suggest
from ..planning.patterns import BLOCK_PREFIX
from .blocks import BLOCKS, MIDDLE, Blocks, blocks_of

_NUMBERED = re.compile(r"(IN|OUT|M)(\d{1,2})")


class BlockPattern:
    """A test of a tensor's name: whether it belongs to one of the blocks.

    Args:
        pattern: The pattern as it was given, its prefix included.
        where: Where it was given, for messages.

    Raises:
        UsageError: It names no block.
    """

    def __init__(self, pattern: str, where: str | None = None) -> None:
        self._pattern, self._where = pattern, where
        self._items = [
            (item.strip(), frozenset(named(item, BLOCKS, where))) for item in pattern[len(BLOCK_PREFIX) :].split(",")
        ]
        self._wanted = frozenset().union(*(blocks for _, blocks in self._items))
        self._blocks: Blocks | None = None

    def within(self, names: Iterable[str]) -> BlockPattern:
        """Return the test for the tensors of one model.

        Raises:
            UsageError: The model has no blocks, or not these.
        """
        found = BlockPattern(self._pattern, self._where)
        found._blocks = blocks_of(names)
        if found._blocks is None:
            raise UsageError(f"'{self._pattern}' names {_NO_BLOCKS}", where=self._where, hint=_HINT)
        for item, blocks in self._items:
            if not blocks & set(found._blocks.names):
                hint = f"its blocks: {listed(found._blocks.names)}"
                raise UsageError(f"the model has no block '{item}'", where=self._where, hint=hint)
        return found

    def __call__(self, name: str) -> bool:
        """Tell whether a tensor belongs to one of the blocks."""
        assert self._blocks is not None  # noqa: S101 - whoever tests names says of which model first
        return self._blocks.of(name) in self._wanted


_NO_BLOCKS = "blocks of a diffusion model, and this model has none"
_HINT = "blocks are those of the UNet of Stable Diffusion 1, 2 and XL; elsewhere a pattern of names says it"


def named(item: str, known: Collection[str], where: str | None = None) -> Iterator[str]:
    """Yield the blocks that a name, a range (``IN00-IN05``) or a glob (``OUT*``) stands for, among those known.

    Raises:
        UsageError: It stands for none.
    """
    first, dash, last = (canonical(part) for part in item.partition("-"))
    order = list(known)
    if dash and first in order and last in order and order.index(first) <= order.index(last):
        yield from order[order.index(first) : order.index(last) + 1]
        return
    matching = fnmatch.filter(order, canonical(item))
    if not matching:
        absent = [name for name in (first, last) if name in BLOCKS and name not in order]
        hint = f"its blocks: {listed(known)}" if absent else suggest(first, known) or f"blocks: {listed(known)}"
        what = f"the model has no block '{absent[0]}'" if absent else f"there is no block '{item.strip()}'"
        raise UsageError(what, where=where, hint=hint)
    yield from matching


def canonical(text: str) -> str:
    """Return a block's name as it is written here: upper case, two digits, M00 for M and MID."""
    text = text.strip().upper()
    found = _NUMBERED.fullmatch(text)
    if found:
        return f"{found[1]}{int(found[2]):02d}"
    return MIDDLE if text in ("M", "MID") else text


def listed(known: Iterable[str]) -> str:
    """Return blocks in words, runs of numbers as one."""
    groups: dict[str, list[str]] = {}
    for name in known:
        groups.setdefault(name.rstrip("0123456789"), []).append(name)
    return ", ".join(names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}" for names in groups.values())
