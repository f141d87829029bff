"""Evaluates expressions over the raw bytes of a chunk, in blocks that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..checkpoints.files import Buffer
from ..dtypes import DTYPES, accumulator
from ..errors import MergeError
from ..method import WeightedSum
from ..planning.rows import Row
from ..program import Call, Expression, Input, calls
from .cpu_backend import COMPILED_TYPES, MOST_INPUTS
from .reductions import BLOCK_ELEMENTS, Selection, Threshold

SelectionKey = tuple[str, int, int]  # path of the call, model, row (or -1 for the whole checkpoint)
Raws = Mapping[int, Buffer]


class Block(NamedTuple):
    """Consecutive elements that are computed at once.

    Attributes:
        row: Row that they belong to (the first of several, where neighbours are processed as one).
        first: Position of the first element in the row.
        offset: Position of the first element in the raw bytes at hand.
    """

    row: int
    first: int
    offset: int
    length: int


class Summed(NamedTuple):
    """The outcome of a compiled sum, and the sources that were found finite."""

    out: Buffer
    checked: frozenset[int]


class Evaluator:
    """Calls the methods, on one worker's backend.

    Args:
        backend: The backend.
        thresholds: Outcome of the reductions.
    """

    def __init__(self, backend: Any, thresholds: Mapping[SelectionKey, Threshold]) -> None:
        self._backend, self._thresholds = backend, thresholds

    def blocks(self, row: int, first: int, length: int) -> Iterator[Block]:
        """Cut a chunk into blocks of the size that suits the backend."""
        step = self._backend.block_elements
        for offset in range(0, length, step):
            yield Block(row, first + offset, offset, min(step, length - offset))

    def evaluate(self, row: Row, raws: Raws, block: Block) -> Any:
        """Return the outcome of the row's expression for one block, before rounding.

        Raises:
            MergeError: When the method fails, naming the tensor.
        """
        self._backend.begin()
        try:
            return self._value(row.expression, row, raws, block)
        except MergeError:
            raise
        except Exception as error:
            what = f"the method failed on tensor '{row.name}' of shape {list(row.shape)}: {error}"
            raise MergeError(what) from error

    def weighted_sum(self, row: Row, raws: Raws) -> Summed | None:
        """Return a whole chunk's outcome from the compiled sum, or None where the other way must be taken.

        That is where the expression is no weighted sum of tensors of one type, where nothing was compiled for it,
        and where something is not finite: the other way finds out what.
        """
        call = row.expression
        if self._backend.weighted_sum is None or not isinstance(call, Call) or not isinstance(call.method, WeightedSum):
            return None
        inputs = [child.source for child in call.inputs if isinstance(child, Input)]
        types = {tensor.dtype for source in inputs if (tensor := row.tensors[source])}
        if types != {row.dtype} or row.dtype not in COMPILED_TYPES or len(inputs) not in range(1, MOST_INPUTS + 1):
            return None
        if len(inputs) < len(call.inputs) or any(tensor and tensor.dtype not in types for tensor in row.tensors):
            return None  # a tensor of another type, even one that is only hashed, may widen the accumulator
        out = self._backend.raw("out", len(raws[inputs[0]]))
        coefficients = tuple(call.method.coefficients(call.options))
        finite = self._backend.weighted_sum(row.dtype, tuple(raws[source] for source in inputs), coefficients, out)
        return Summed(out, frozenset(inputs)) if finite else None

    def observe(
        self,
        call: Call,
        row: Row,
        raws: Raws,
        block: Block,
        selections: Mapping[SelectionKey, Selection],
        seen: dict[SelectionKey, Any],
    ) -> None:
        """Show one block of a call's inputs to the selections that are not finished."""
        self._backend.begin()
        for key, array in zip(selection_keys(call, block.row), self._inputs(call, row, raws, block), strict=False):
            selection = selections.get(key)
            if selection is not None and selection.threshold is None:
                if key not in seen:
                    seen[key] = selection.empty()
                selection.observe(seen[key], array, block.row, block.first, self._backend)

    def _value(self, expression: Expression | None, row: Row, raws: Raws, block: Block) -> Any:
        if isinstance(expression, Input):
            return self._load(expression.source, row, raws, block)
        assert expression is not None  # noqa: S101 - rows without an expression are not evaluated
        arrays = self._inputs(expression, row, raws, block)
        base = arrays.pop() if expression.base is not None else None
        context = BlockContext(self._backend, expression, block, self._thresholds)
        outcome = expression.method.merge(arrays, expression.options, context)
        if base is not None:
            outcome += base
        return outcome

    def _inputs(self, call: Call, row: Row, raws: Raws, block: Block) -> list[Any]:
        """Return what the method is called with; for task vectors, the base follows at the end."""
        arrays = [self._value(child, row, raws, block) for child in call.inputs]
        if call.base is None:
            return arrays
        base = self._value(call.base, row, raws, block)
        for array in arrays:
            array -= base
        return [*arrays, base]

    def _load(self, source: int, row: Row, raws: Raws, block: Block) -> Any:
        tensor = row.tensors[source]
        assert tensor is not None  # noqa: S101 - the planner uses present tensors only
        width = DTYPES[tensor.dtype].bits // 8
        raw = raws[source][block.offset * width : (block.offset + block.length) * width]
        return self._backend.load(raw, tensor.dtype, accumulator_of(row))


def accumulator_of(row: Row) -> str:
    """Return the type in which a row is computed."""
    return accumulator([tensor.dtype for tensor in row.tensors if tensor])


def reducing_calls(row: Row) -> list[Call]:
    """Return the calls of a row that need reductions, inner ones first."""
    return [call for call in calls(row.expression) if call.reductions] if row.expression is not None else []


def selection_key(call: Call, model: int, row: int) -> SelectionKey:
    """Return the key of a call's selection for one model: its own per row, or one for the whole checkpoint."""
    return call.path, model, row if call.reductions[0].scope == "tensor" else -1


def selection_keys(call: Call, row: int) -> list[SelectionKey]:
    """Return the keys of a call's selections for a row, one per model."""
    return [selection_key(call, model, row) for model in range(len(call.inputs))]


class BlockContext:
    """What a method may ask about the block that it is called with; see `merge.method.Context`."""

    def __init__(self, backend: Any, call: Call, block: Block, thresholds: Mapping[SelectionKey, Threshold]) -> None:
        self._backend, self._call, self._block, self._thresholds = backend, call, block, thresholds
        self.xp = backend.xp

    def largest(self, array: Any, model: int) -> Any:
        """Return the mask of the entries that count as largest, exactly as many as were asked for."""
        block = self._block
        threshold = self._thresholds[selection_key(self._call, model, block.row)]
        magnitudes = self.xp.abs(array)
        cut = (threshold.row, threshold.block)
        last = (block.first + max(block.length - 1, 0)) // BLOCK_ELEMENTS
        if threshold.row < 0 or (block.row, last) < cut:
            return magnitudes >= threshold.value
        mask = magnitudes > threshold.value
        if (block.row, block.first // BLOCK_ELEMENTS) <= cut:
            start = threshold.block * BLOCK_ELEMENTS - block.first
            equal = magnitudes == threshold.value
            mask[:start] |= equal[:start]
            stop = start + BLOCK_ELEMENTS
            self._backend.keep_first(mask[start:stop], equal[start:stop], threshold.quota)
        return mask
