"""Evaluates expressions over the raw bytes of a chunk, in blocks that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from ..calibration.soundness import what_is_wrong
from ..checkpoints.checkpoint import Source
from ..checkpoints.files import Buffer
from ..checkpoints.header import TensorInfo
from ..dtypes import DTYPES, accumulator
from ..errors import MergeError
from ..method import WeightedSum
from ..planning.rows import Row
from ..program import Call, Expression, Input
from ..reduction import Reduction
from .block_parts import Part
from .compiled import MOST_INPUTS
from .context import Block, BlockContext, Results
from .cpu_backend import COMPILED_TYPES
from .overflow import largest_finite
from .pieces import portion, unit
from .reductions import Reducer
from .rounder import Rounder, Rounding
from .shortage import bytes_needed, is_shortage
from .tallies import Tallies

Raws = Mapping[int, Buffer]


_UNLIMITED = nullcontext()
_AGAIN = "compute the file again with: merge calibrate"


class Summed(NamedTuple):
    """The outcome of a compiled sum, and the sources that were found finite."""

    out: Buffer
    checked: frozenset[int]


class Evaluator:
    """Calls the methods, on one worker's backend.

    Args:
        backend: The backend.
        results: Outcome of the reductions.
        seed: Seed of the methods that draw random numbers.
        sources: The plan's sources, of which statistics are read as a whole.
        rounding: How outcomes are rounded.

    Attributes:
        rounder: Rounds the outcomes.
        records: What the methods noted, by name of the tensor; whoever reads it empties it.
    """

    def __init__(
        self, backend: Any, results: Results, seed: int, sources: Sequence[Source], rounding: Rounding
    ) -> None:
        self._backend, self._results, self._seed, self._sources = backend, results, seed, sources
        self.rounder = Rounder(backend, rounding)
        self.records: dict[str, dict[str, Any]] = {}

    def blocks(self, row: Row, number: int, first: int, length: int, most: int | None = None) -> Iterator[Block]:
        """Cut a chunk into blocks: whole units, as many as suit the backend, or as ``most`` elements are.

        Of rows, always one unit: a GPU may add up a row otherwise, in the last bits, the more rows it is given.
        """
        together = 1 if portion(row) == "rows" else most or self._backend.block_elements
        step = unit(row) * max(1, together // unit(row))
        for offset in range(0, length, step):
            yield Block(number, first + offset, offset, min(step, length - offset))

    def evaluate(self, row: Row, raws: Raws, block: Block) -> Any:
        """Return the outcome of the row's expression for one block, before rounding, as one dimension.

        Raises:
            MergeError: When the method fails, naming the tensor.
        """
        self._backend.begin()
        with _Naming(row):
            return self._value(row.expression, row, raws, block)

    def fill(self, out: Buffer, row: Row, raws: Raws, block: Block, parts: Sequence[Part]) -> Tallies:
        """Write the outcome of one block, rounded to the row's type, to a buffer of its length.

        Returns:
            What was counted of the rounding, by the name of the tensor.

        Raises:
            MergeError: When the method fails, naming the tensor.
            ShortageError: The backend's memory does not suffice.
        """
        with self._admitted(row, block):
            outcome = self.evaluate(row, raws, block)
            base = self._base(row, raws, block) if self.rounder.wants_base(row) else None
            return self.rounder.store(outcome, base, row, out, parts)

    def _base(self, row: Row, raws: Raws, block: Block) -> Any:
        """Return the base's numbers once more: methods may overwrite those that they are called with."""
        assert isinstance(row.expression, Call)  # noqa: S101 - asked of rows whose method has a base
        with _Naming(row):
            return self._value(row.expression.base, row, raws, block)

    def largest(self, row: Row, raws: Raws, block: Block) -> float:
        """Return the largest finite magnitude of one block's outcome, before rounding.

        Raises:
            MergeError: When the method fails, naming the tensor.
            ShortageError: The backend's memory does not suffice.
        """
        with self._admitted(row, block):
            return largest_finite(self._backend.fetched(self.evaluate(row, raws, block)))

    def _admitted(self, row: Row, block: Block) -> AbstractContextManager[None]:
        """Wait until there is memory for a block on the backend, where that is limited."""
        if self._backend.spare is None:
            return _UNLIMITED
        admitted: AbstractContextManager[None] = self._backend.admit(bytes_needed(row, block.length))
        return admitted

    def weighted_sum(self, row: Row, number: int, raws: Raws) -> Summed | None:
        """Return a whole chunk's outcome from the compiled sum, or None where the other way must be taken.

        That is where the expression is no weighted sum of tensors of one type, where nothing was compiled for it,
        and where something is not finite: the other way finds out what.
        """
        call = row.expression
        if self._backend.weighted_sum is None or not isinstance(call, Call) or not isinstance(call.method, WeightedSum):
            return None
        if not self.rounder.is_plain(row):
            return None
        inputs = [child.source for child in call.inputs if isinstance(child, Input)]
        base = [call.base.source] if isinstance(call.base, Input) else []
        types = {tensor.dtype for source in (*inputs, *base) if (tensor := row.tensors[source])}
        if types != {row.dtype} or row.dtype not in COMPILED_TYPES or len(inputs) not in range(1, MOST_INPUTS + 1):
            return None
        if len(inputs) < len(call.inputs) or (call.base is not None and not base):
            return None
        if any(tensor and tensor.dtype not in types for tensor in row.tensors) or call.portion != "flat":
            return None  # a tensor of another type, even one that is only hashed, may widen the accumulator
        out = self._backend.raw("out", len(raws[inputs[0]]))
        context = self._context(call, row, {}, Block(number, 0, 0, 0))
        coefficients = tuple(call.method.coefficients(call.options, context))
        buffers = tuple(raws[source] for source in inputs)
        finite = self._backend.weighted_sum(row.dtype, buffers, coefficients, out, raws[base[0]] if base else None)
        return Summed(out, frozenset((*inputs, *base))) if finite else None

    def show(
        self, call: Call, reduction: Reduction, row: Row, raws: Raws, block: Block, reducer: Reducer, seen: Any
    ) -> None:
        """Show one block to a reducer; what it learns goes to ``seen``.

        Raises:
            MergeError: When the method fails, naming the tensor.
            ShortageError: The backend's memory does not suffice.
        """
        with self._admitted(row, block):
            arrays = self.view(call, reduction, row, raws, block)
            reducer.observe(seen, arrays, block.row, block.first, self._backend)

    def view(self, call: Call, reduction: Reduction, row: Row, raws: Raws, block: Block) -> Sequence[Any]:
        """Return the arrays that a reduction sees of one block.

        Raises:
            MergeError: When the method fails, naming the tensor.
        """
        self._backend.begin()
        with _Naming(row):
            arrays, _ = self._inputs(call, (*call.inputs, *call.witnesses), row, raws, block)
            if reduction.view is None:
                return arrays
            return reduction.view(arrays, call.options, self._context(call, row, raws, block))

    def _value(self, expression: Expression | None, row: Row, raws: Raws, block: Block, less: Any = None) -> Any:
        """Return an expression's outcome for one block, less an array where one is given."""
        if isinstance(expression, Input):
            return self._load(expression.source, row, raws, block, less)
        assert expression is not None  # noqa: S101 - rows without an expression are not evaluated
        arrays, base = self._inputs(expression, expression.inputs, row, raws, block)
        shape, dtype = arrays[0].shape, arrays[0].dtype
        outcome = expression.method.merge(arrays, expression.options, self._context(expression, row, raws, block))
        if outcome.shape != shape or outcome.dtype != dtype:
            what = f"{expression.method.name} returned {outcome.dtype} of shape {tuple(outcome.shape)}"
            raise TypeError(f"{what} instead of {dtype} of shape {tuple(shape)}")
        outcome = outcome.reshape(-1)
        if base is not None:
            outcome += base
        if less is not None:
            outcome -= less
        return outcome

    def _inputs(
        self, call: Call, children: Sequence[Expression], row: Row, raws: Raws, block: Block
    ) -> tuple[list[Any], Any]:
        """Return what the method is called with, and what is to be added to its outcome, if anything is."""
        base = self._value(call.base, row, raws, block) if call.base is not None else None
        with_base = base is not None and call.method.takes == "base_and_weights"
        arrays = [self._value(child, row, raws, block, None if with_base else base) for child in children]
        arrays, added = ([base, *arrays], None) if with_base else (arrays, base)
        shape = _shape(call, row)
        return [array.reshape(shape) for array in arrays] if shape is not None else arrays, added

    def _context(self, call: Call, row: Row, raws: Raws, block: Block) -> BlockContext:
        def statistic(model: int) -> Any:
            found = call.statistics[model]
            info = row.tensors[found.source] if found.aligned else dict(row.asides)[found.source]
            assert info is not None  # noqa: S101 - the planner uses present tensors only
            aligned = self._load(found.source, row, raws, block, None) if found.aligned else None
            loaded = self._load_aside(found.source, info) if aligned is None else aligned
            wrong = what_is_wrong(call.method.statistics, loaded, self._backend.xp)
            if wrong:
                where = self._sources[found.source].location
                raise MergeError(f"the statistics of '{info.name}' {wrong}", where=where, hint=_AGAIN)
            return loaded

        def record(facts: Mapping[str, Any]) -> None:
            self.records[row.name] = dict(facts)

        return BlockContext(
            self._backend,
            call,
            row.name,
            unit(row),
            block,
            self._results,
            self._seed,
            statistic,
            record,
            _statistics_name(call, row),
        )

    def _load_aside(self, source: int, info: TensorInfo) -> Any:
        """Read a whole tensor of statistics, in float64."""
        raw = self._backend.raw("aside", info.nbytes)
        self._sources[source].read_into(info, 0, raw)
        return self._backend.load_alone(raw, info.dtype).reshape(info.shape)

    def _load(self, source: int, row: Row, raws: Raws, block: Block, less: Any) -> Any:
        tensor = row.tensors[source]
        assert tensor is not None  # noqa: S101 - the planner uses present tensors only
        width = DTYPES[tensor.dtype].bits // 8
        raw = raws[source][block.offset * width : (block.offset + block.length) * width]
        return self._backend.load(raw, tensor.dtype, accumulator_of(row), less)


class _Naming:
    """Says on which tensor a method failed."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, MergeError) and not is_shortage(error):
            what = f"the method failed on tensor '{self._row.name}' of shape {list(self._row.shape)}: {error}"
            raise MergeError(what) from error
        if isinstance(error, MergeError) and error.where is None:
            raise type(error)(f"tensor '{self._row.name}': {error.what}", hint=error.hint) from error


def _statistics_name(call: Call, row: Row) -> str | None:
    """Return what the first model's statistics call a tensor, where they belong to it as a whole."""
    if not call.statistics or call.statistics[0].aligned:
        return None
    return dict(row.asides)[call.statistics[0].source].name


def _shape(call: Call, row: Row) -> tuple[int, ...] | None:
    """Return the shape of the portions that a call is made with, None for one dimension."""
    if call.access == "flat":
        return None
    return row.shape if call.access == "whole" else (-1, row.shape[-1] if row.shape else 1)


def accumulator_of(row: Row) -> str:
    """Return the type in which a row is computed."""
    return accumulator(tuple([tensor.dtype for tensor in row.tensors if tensor]))
