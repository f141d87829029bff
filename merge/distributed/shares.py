"""Cut the pieces of a plan into shares: what one process is given at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..planning.rows import Row
from ..streaming.pieces import PIECE_ELEMENTS, Numbered, file_of

SHARES_PER_WORKER = 4  # so that the last ones end at about the same time
Share = list[Numbered]


def share_elements(pieces: Sequence[Numbered], workers: int, most: int) -> int:
    """Return the elements of a share: a few shares for each worker, none of them larger than ``most``."""
    total = sum(span.stop - span.start for _, piece in pieces for span in piece)
    return max(PIECE_ELEMENTS, min(most, total // (workers * SHARES_PER_WORKER)))


def cut_shares(
    pieces: Sequence[Numbered], rows: Sequence[Row], elements: int, *, whole_files: bool = False, divisible: bool = True
) -> Iterator[Share]:
    """Yield consecutive pieces that make up a share; a share writes to one output file.

    Args:
        pieces: All pieces, in order.
        rows: The plan's rows.
        elements: Elements from which on a share ends.
        whole_files: Whether a share is all that is written to a file.
        divisible: Whether a tensor may be divided between shares.
    """
    share: Share = []
    size = 0
    for number, piece in pieces:
        other_file = bool(share) and file_of(share[-1][1], rows) != file_of(piece, rows)
        full = size >= elements and not whole_files and (divisible or piece[0].start == 0)
        if other_file or (share and full):
            yield share
            share, size = [], 0
        share.append((number, piece))
        size += sum(span.stop - span.start for span in piece)
    if share:
        yield share


def numbers_of(share: Share) -> list[int]:
    """Return what stands for a share in another process: the numbers of its pieces."""
    return [number for number, _ in share]
