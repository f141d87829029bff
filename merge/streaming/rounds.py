"""Drives reductions: which pieces belong together, and passes over them until every outcome is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from ..planning.rows import Row
from ..program import Call, calls, reduction_order
from ..reduction import Reduction
from .context import Block, BlockContext, ResultKey, result_key
from .evaluation import accumulator_of
from .journal import Journal
from .pieces import Numbered, Piece, elements, unit
from .reductions import Reducer, reducer

GROUP_ELEMENTS = 64 * 2**20  # rows whose reductions run together, so that the second read finds a warm cache


class Reducing(Protocol):
    """Who can show pieces to reducers."""

    def reduce(
        self, pieces: Sequence[Numbered], reducers: Mapping[ResultKey, Reducer]
    ) -> Iterator[dict[ResultKey, Any]]:
        """Yield what each piece contributed, in the order of the pieces."""


def _refuse(of: Any) -> Any:
    """Stand for statistics where no block of a tensor is at hand."""
    raise TypeError("there are no statistics between the portions of a tensor")


_Member = tuple[int, Call, Reduction]  # a row, and one reduction of one call of its expression


class Rounds:
    """The reductions of one run.

    Args:
        rows: The plan's rows.
        results: Where outcomes go; what stands there already is known.
        journal: Where outcomes are recorded.

    Attributes:
        remarks: What the methods said about reductions over the checkpoint.
        read_again: Whether tensors are read for reductions before they are merged.
        over_checkpoint: Whether some reduction needs all tensors before the first one can be merged.
    """

    def __init__(self, rows: Sequence[Row], results: dict[ResultKey, Any], journal: Journal | None) -> None:
        self._rows, self._results, self._journal = rows, results, journal
        # Neighbours share their expression, so there are few distinct ones.
        distinct = {id(row.expression): row.expression for row in rows if row.expression is not None}
        self._calls = {
            key: found
            for key, expression in distinct.items()
            if (found := [call for call in calls(expression) if call.reductions])
        }
        self.read_again = bool(self._calls)
        self._order = reduction_order(distinct.values())
        scopes = {red.scope for found in self._calls.values() for call in found for red in call.reductions}
        self.over_checkpoint = "checkpoint" in scopes
        self.remarks: list[str] = []

    def groups(self, pieces: Sequence[Numbered]) -> Iterator[Sequence[Numbered]]:
        """Yield pieces whose reductions run together: everything at once unless they are per tensor."""
        if not self.read_again or self.over_checkpoint:
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

    def run(self, hands: Reducing, group: Sequence[Numbered]) -> None:
        """Find everything that the group's rows need, inner calls before the calls that use them.

        Raises:
            MergeError: When a method finds that the models cannot be merged.
        """
        for path, name in self._order if self._calls else ():
            members = list(self._members(group, path, name))
            reducers = self._reducers(members)
            while any(reducer.outcome is None for reducer in reducers.values()):
                self._pass(hands, group, reducers)
            for key, found in reducers.items():
                self._results[key] = outcome = self._by_name(found.outcome)
                if self._journal is not None:
                    self._journal.record("result", ":".join(map(str, key)), outcome)
            self._remark(members, name)

    def _by_name(self, outcome: Any) -> Any:
        """Return an outcome, one of rows as one of their names."""
        if not isinstance(outcome, dict):
            return outcome
        return {self._rows[row].name: value for row, value in sorted(outcome.items())}

    def _pass(self, hands: Reducing, group: Sequence[Numbered], reducers: dict[ResultKey, Reducer]) -> None:
        unknown = {key: reducer for key, reducer in reducers.items() if reducer.outcome is None}
        concerned = [item for item in group if self._concerns(item[1], set(unknown))]
        for seen in hands.reduce(concerned, unknown):
            for key, value in seen.items():
                reducers[key].absorb(value)
        for key in unknown:
            reducers[key].advance()

    def _concerns(self, piece: Piece, keys: set[ResultKey]) -> bool:
        return any(
            result_key(call, red, span.first) in keys
            for span in piece
            for call in self._calls_of(self._rows[span.first])
            for red in call.reductions
        )

    def _calls_of(self, row: Row) -> Sequence[Call]:
        return self._calls.get(id(row.expression), ())

    def _members(self, group: Sequence[Numbered], path: str, name: str) -> Iterator[_Member]:
        """Yield every row of the group that takes part in a reduction."""
        for number in sorted({row for _, piece in group for span in piece for row in range(span.first, span.last)}):
            for call in self._calls_of(self._rows[number]):
                for reduction in call.reductions if call.path == path else ():
                    if reduction.name == name:
                        yield number, call, reduction

    def _reducers(self, members: Sequence[_Member]) -> dict[ResultKey, Reducer]:
        """Return a reducer for every row (or the checkpoint) whose outcome is not known yet."""
        counts: dict[ResultKey, int] = {}
        example: dict[ResultKey, _Member] = {}
        wide: set[ResultKey] = set()
        for member in members:
            number, call, reduction = member
            row, key = self._rows[number], result_key(call, reduction, number)
            example.setdefault(key, member)
            counts[key] = counts.get(key, 0) + elements(row)
            if accumulator_of(row) == "F64":
                wide.add(key)
        unknown = (key for key in example if key not in self._results)
        return {key: self._reducer(*example[key], counts[key], 64 if key in wide else 32) for key in unknown}

    def _reducer(self, number: int, call: Call, reduction: Reduction, count: int, bits: int) -> Reducer:
        size = unit(self._rows[number])
        at_once = reduction.scope == "tensor" and count <= size
        known = self._context(number, call).result
        return reducer(reduction, count, size, bits, known, at_once=at_once)

    def _context(self, number: int, call: Call) -> BlockContext:
        row = self._rows[number]
        block = Block(number, 0, 0, 0)
        return BlockContext(None, call, row.name, unit(row), block, self._results, 0, _refuse, _refuse)

    def _remark(self, members: Sequence[_Member], name: str) -> None:
        """Let the method look at its last reduction, if that was over the checkpoint."""
        over_all = [member for member in members if member[2].scope == "checkpoint"]
        if over_all and over_all[0][1].reductions[-1].name == name:
            number, call, _ = over_all[0]
            self.remarks += call.method.remarks(call.options, self._context(number, call))
