"""Drives reductions: which pieces belong together, and rounds over them until every threshold is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import UsageError
from ..method import Reduction
from ..planning.rows import Row
from ..program import Call, calls
from .crew import Crew
from .evaluation import SelectionKey, selection_keys
from .journal import Journal
from .pieces import Piece, elements
from .reductions import BLOCK_ELEMENTS, Selection, Threshold
from .worker import Worker

GROUP_ELEMENTS = 64 * 2**20  # rows whose reductions run together, so that the second read finds a warm cache
Numbered = tuple[int, Piece]


class Rounds:
    """The reductions of one run.

    Args:
        rows: The plan's rows.
        thresholds: Where outcomes go; what stands there already is known.
        journal: Where outcomes are recorded.
    """

    def __init__(self, rows: Sequence[Row], thresholds: dict[SelectionKey, Threshold], journal: Journal | None) -> None:
        self._rows, self._thresholds, self._journal = rows, thresholds, journal
        # Neighbours share their expression, so there are few distinct ones.
        distinct = {id(row.expression): row.expression for row in rows if row.expression is not None}
        self._calls = {
            key: found
            for key, expression in distinct.items()
            if (found := [call for call in calls(expression) if call.reductions])
        }
        # Calls that are used by others come first: their thresholds are needed to compute what the others see.
        self._paths = list(dict.fromkeys(call.path for found in self._calls.values() for call in found))

    def groups(self, pieces: list[Numbered]) -> Iterator[list[Numbered]]:
        """Yield pieces whose reductions run together: everything at once unless they are per tensor."""
        scopes = {call.reductions[0].scope for found in self._calls.values() for call in found}
        if scopes != {"tensor"}:
            yield pieces
            return
        group: list[Numbered] = []
        total = 0
        for number, piece in pieces:
            if total >= GROUP_ELEMENTS and piece[0].start == 0:
                yield group
                group, total = [], 0
            group.append((number, piece))
            total += sum(span.stop - span.start for span in piece)
        yield group

    def run(self, crew: Crew[Worker], group: list[Numbered]) -> None:
        """Find every threshold that the group's rows need, inner calls before the calls that use them.

        Raises:
            UsageError: When one rank over the checkpoint is asked for with several densities.
        """
        for path in self._paths:
            selections = self._selections(group, path)
            while any(selection.threshold is None for selection in selections.values()):
                self._round(crew, group, selections)
            for key, selection in selections.items():
                if selection.threshold is not None:
                    self._thresholds[key] = selection.threshold
                    if self._journal is not None:
                        self._journal.record("threshold", ":".join(map(str, key)), list(selection.threshold))

    def _round(self, crew: Crew[Worker], group: list[Numbered], selections: dict[SelectionKey, Selection]) -> None:
        unknown = {key for key, selection in selections.items() if selection.threshold is None}
        concerned = [piece for _, piece in group if self._concerns(piece, unknown)]
        for _, seen in crew.map(lambda worker, piece: worker.reduce(piece, selections), concerned):
            for key, value in seen.items():
                selections[key].absorb(value)
        for key in unknown:
            selections[key].advance()

    def _concerns(self, piece: Piece, keys: set[SelectionKey]) -> bool:
        return any(
            key in keys
            for span in piece
            for call in self._calls_of(self._rows[span.first])
            for key in selection_keys(call, span.first)
        )

    def _calls_of(self, row: Row) -> Sequence[Call]:
        return self._calls.get(id(row.expression), ())

    def _selections(self, group: list[Numbered], path: str) -> dict[SelectionKey, Selection]:
        """Return a selection for every model and row (or the checkpoint) of one call that is not known yet."""
        counts: dict[SelectionKey, int] = {}
        wanted: dict[SelectionKey, Reduction] = {}
        for number in sorted({row for _, piece in group for span in piece for row in range(span.first, span.last)}):
            for call in self._calls_of(self._rows[number]):
                for key in selection_keys(call, number) if call.path == path else ():
                    if wanted.setdefault(key, call.reductions[0]) != call.reductions[0]:
                        raise UsageError("a rank over the checkpoint needs one density for all layers")
                    counts[key] = counts.get(key, 0) + elements(self._rows[number])
        unknown = {key: count for key, count in counts.items() if key not in self._thresholds}
        bits = self._bits
        return {
            key: Selection(wanted[key].count(count), bits, at_once=key[2] >= 0 and count <= BLOCK_ELEMENTS)
            for key, count in unknown.items()
        }

    @property
    def _bits(self) -> int:
        """Width of the accumulators that are ranked: 64 where any row has one."""
        wide = any(tensor.dtype in {"F32", "F64"} for row in self._rows for tensor in row.tensors if tensor)
        return 64 if wide else 32
