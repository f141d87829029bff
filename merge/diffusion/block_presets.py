"""Named lists of block weights, and how one is fitted to a model with another number of blocks.

Names and numbers are those that come with SuperMerger for A1111; most are older, of bbc-mc's
merge-block-weighted-gui. The numbers are for BASE, IN00 to IN11, M00 and OUT00 to OUT11.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ..errors import UsageError, suggest
from ..planning.depth import interpolate
from .blocks import BASE, BLOCKS, MIDDLE, Blocks

_FILE = Path(__file__).with_name("block_presets.json")
_LISTED = BLOCKS[:-1]  # what the numbers of a preset are for, in their order; the VAE has none


@cache
def presets() -> dict[str, dict[str, float]]:
    """Return the number of every block, by preset."""
    found: dict[str, list[float]] = json.loads(_FILE.read_text("utf-8"))
    return {name: dict(zip(_LISTED, numbers, strict=True)) for name, numbers in found.items()}


def find_preset(name: str, where: str | None = None) -> tuple[str, dict[str, float]]:
    """Return a preset and its name as it is listed; case, ``-`` for ``_`` and a missing ``*`` do not matter.

    Raises:
        UsageError: There is no such preset.
    """
    known = {_plain(listed): listed for listed in presets()}
    listed = known.get(_plain(name))
    if listed is None:
        hint = suggest(name.upper(), presets()) or f"presets: {', '.join(presets())}"
        raise UsageError(f"there is no preset '{name}'", where=where, hint=hint)
    return listed, presets()[listed]


def _plain(name: str) -> str:
    return name.strip().upper().replace("-", "_").replace("*", "")


def fitted(preset: dict[str, float], blocks: Blocks) -> dict[str, float]:
    """Return a preset's numbers for the blocks of a model.

    Where a model has fewer or more blocks, they lie on straight lines between the preset's own, the first and the last
    of the input blocks on the first and the last of the preset's; output blocks alike.
    """
    found = {name: preset[name] for name in (BASE, MIDDLE)}
    for side in ("IN", "OUT"):
        own = [name for name in blocks.numbered if name.startswith(side)]
        found |= _resampled([number for name, number in preset.items() if name.startswith(side)], own)
    return {name: found[name] for name in blocks.names if name in found}


def _resampled(numbers: Sequence[float], names: Sequence[str]) -> dict[str, float]:
    """Spread numbers evenly over the blocks of one side."""
    if len(numbers) == len(names):
        return dict(zip(names, numbers, strict=True))
    last = max(1, len(names) - 1)
    return {name: round(interpolate(numbers, number / last), 10) for number, name in enumerate(names)}
