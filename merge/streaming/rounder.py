"""Rounds the outcome of a block to the output's type as the recipe asks for, and counts what that did to it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ..checkpoints.files import Buffer
from ..dtypes import DTYPES
from ..planning.rows import Row
from .block_parts import Part
from .lost_updates import count_lost, has_updates
from .narrowing import GRIDS, narrows
from .overflow import saturate
from .stochastic import Draws, store_drawn
from .tallies import Tallies, Tally, absorb


class Rounding(NamedTuple):
    """How numbers are rounded; see `merge.recipe.Output`.

    Attributes:
        stochastic: Whether by chance, to types of at most 16 bits.
        saturates: Whether finite numbers beyond a type's largest one become that.
        counts_lost: Whether to count the updates of a base that are lost.
        seed: The recipe's.
    """

    stochastic: bool = False
    saturates: bool = False
    counts_lost: bool = False
    seed: int = 0

    def draws(self, row: Row, name: str) -> Draws | None:
        """Return the random numbers for a tensor; None where it is rounded to nearest."""
        return _draws(self.seed, name) if self.stochastic and row.dtype in GRIDS else None


class Rounder:
    """Rounds blocks.

    Args:
        backend: Whose arrays they are.
        rounding: How.
    """

    def __init__(self, backend: Any, rounding: Rounding) -> None:
        self._backend, self._rounding = backend, rounding

    def is_plain(self, row: Row) -> bool:
        """Tell whether a row is rounded to nearest and nothing is to be known of the numbers before."""
        return not (self._rounding.stochastic and row.dtype in GRIDS) and not self.wants_base(row)

    def wants_base(self, row: Row) -> bool:
        """Tell whether the base's numbers are needed for what is counted of a row."""
        return self._rounding.counts_lost and has_updates(row)

    def divides(self, row: Row) -> bool:
        """Tell whether a block of a row must be rounded tensor by tensor."""
        return not self.is_plain(row) or narrows(row) or (self._rounding.saturates and row.scales is None)

    def store(self, outcome: Any, base: Any, row: Row, raw: Buffer, parts: Sequence[Part]) -> Tallies:
        """Write a block's outcome to a byte buffer; return what was counted.

        Args:
            outcome: The numbers, in one dimension.
            base: The base's numbers where `wants_base` says so, else None.
            row: The row.
            raw: The buffer.
            parts: What of which tensor lies in the block; not used where `divides` says that it need not be known.
        """
        if not self.divides(row):
            self._backend.store(outcome, row.dtype, raw)
            return {}
        found: dict[str, Tally] = {}
        width = DTYPES[row.dtype].bits // 8
        for part in parts:
            own, its_base = (None if each is None else each[part.start : part.stop] for each in (outcome, base))
            tally = self._store_part(own, its_base, row, raw[part.start * width : part.stop * width], part)
            if any(tally):
                absorb(found, {part.name: tally})
        return found

    def _store_part(self, outcome: Any, base: Any, row: Row, raw: Buffer, part: Part) -> Tally:
        draws = self._rounding.draws(row, part.name)
        if draws is None:
            self._backend.store(outcome, row.dtype, raw)
        else:
            store_drawn(self._backend.fetched(outcome), row.dtype, raw, draws, part.first)
        return self._counted(outcome, base, row, raw)

    def _counted(self, outcome: Any, base: Any, row: Row, raw: Buffer) -> Tally:
        """Return what rounding did, once numbers beyond the largest one are made that, where they are to be."""
        tally = Tally()
        saturates = self._rounding.saturates and row.scales is None
        if saturates and self._backend.first_nonfinite(raw, row.dtype) is not None:
            tally = saturate(self._backend.fetched(outcome), row.dtype, raw)
        if narrows(row):
            gone = self._backend.nonzeros(outcome) - self._backend.nonzeros_in(raw, row.dtype)
            tally = tally._replace(vanished=gone)
        if base is not None:
            fetched = self._backend.fetched
            tally = tally.joined(count_lost(fetched(outcome), fetched(base), raw, row.dtype))
        return tally


@lru_cache(maxsize=256)
def _draws(seed: int, name: str) -> Draws:
    return Draws(seed, name)
