"""Progress in items, for work that is done in other pieces."""

from __future__ import annotations

from ..task import Advance


class Portions:
    """Turns finished pieces of work (windows, requests) into items of a task (characters, documents).

    Args:
        pieces: How many pieces all the work has.
        items: How many items it stands for.
        advance: Called with every number of items that is newly done; with ``items`` in all after the last piece.
    """

    def __init__(self, pieces: int, items: int, advance: Advance) -> None:
        self.pieces, self.items, self.advance = pieces, items, advance
        self.done = 0

    def __call__(self) -> None:
        """Count one piece."""
        before = self.items * self.done // self.pieces
        self.done += 1
        self.advance(self.items * self.done // self.pieces - before)
