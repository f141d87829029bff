"""What a method may ask about the portion that it is called with; see `merge.method.Context`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import xxhash

from ..method import Place
from ..program import Call
from ..reduction import Reduction
from .parts import parts_from, parts_key
from .ranks import Threshold

ResultKey = tuple[str, str, int]  # path of the call, name of the reduction, row (or -1 for the whole checkpoint)
Results = Mapping[ResultKey, Any]


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


def result_key(call: Call, reduction: Reduction, row: int) -> ResultKey:
    """Return the key of a call's reduction: its own per row, or one for the whole checkpoint."""
    return call.path, reduction.name, row if reduction.scope == "tensor" else -1


class BlockContext:
    """The context of one block, or of a whole row where the block has no length.

    Args:
        backend: The backend that the arrays belong to.
        call: The call.
        name: Name of the output tensor.
        unit: Entries of a unit of its row.
        block: The block.
        results: Outcome of the reductions.
        seed: The user's seed.
        statistic: Reads a model's statistics of this block.
        record: Takes what the method notes.
        named: What the tensor is called where parts of it are drawn; None: as in the output.
    """

    def __init__(
        self,
        backend: Any,
        call: Call,
        name: str,
        unit: int,
        block: Block,
        results: Results,
        seed: int,
        statistic: Callable[[int], Any],
        record: Callable[[Mapping[str, Any]], None],
        named: str | None = None,
    ) -> None:
        self._backend, self._call, self._name, self._unit = backend, call, name, unit
        self._block, self._results, self._seed = block, results, seed
        self.statistic, self._record = statistic, record
        self._named = name if named is None else named

    @property
    def xp(self) -> Any:
        """The array API namespace of the arrays."""
        return self._backend.xp

    @property
    def place(self) -> Place:
        """Where the tensor lies in its stack."""
        return self._call.place

    @property
    def has_statistics(self) -> bool:
        """Whether this tensor has statistics of every model."""
        return bool(self._call.statistics)

    @property
    def is_counted(self) -> bool:
        """Whether this tensor's statistics are its own, and not those of a tensor that it is tied to."""
        return not any(statistic.again for statistic in self._call.statistics)

    @property
    def layout(self) -> str:
        """How the tensor forms a matrix."""
        return self._call.layout

    def record(self, **facts: Any) -> None:
        """Note facts about this tensor for the ledger."""
        self._record(facts)

    def result(self, reduction: str) -> Any:
        """Return the outcome of a finished reduction."""
        own = self._results.get((self._call.path, reduction, self._block.row))
        return self._results[self._call.path, reduction, -1] if own is None else own

    def keep_largest(self, array: Any, reduction: str, position: int, border: int = 0) -> None:
        """Multiply the entries that do not count as largest by 0, in place."""
        threshold = Threshold(*self.result(reduction)[position][border])
        equal_count = self._equal_count(threshold)
        if equal_count is None:
            array *= self.largest(array, reduction, position, border)
        else:
            self._backend.keep(array, ">=" if equal_count else ">", threshold.value)

    def drop_largest(self, array: Any, reduction: str, position: int, border: int = 0) -> None:
        """Multiply the entries that count as largest by 0, in place."""
        threshold = Threshold(*self.result(reduction)[position][border])
        equal_count = self._equal_count(threshold)
        if equal_count is None:
            array *= self.xp.logical_not(self.largest(array, reduction, position, border))
        else:
            self._backend.keep(array, "<" if equal_count else "<=", threshold.value)

    def largest(self, array: Any, reduction: str, position: int, border: int = 0) -> Any:
        """Return the mask of the entries that count as largest, exactly as many as were asked for."""
        threshold = Threshold(*self.result(reduction)[position][border])
        magnitudes = self.xp.abs(array)
        equal_count = self._equal_count(threshold)
        if equal_count:
            return magnitudes >= threshold.value
        mask = magnitudes > threshold.value
        if equal_count is None:
            start = threshold.unit * self._unit - self._block.first
            flat, equal = mask.reshape(-1), (magnitudes == threshold.value).reshape(-1)
            flat[:start] |= equal[:start]
            stop = start + self._unit
            self._backend.keep_first(flat[start:stop], equal[start:stop], threshold.quota)
        return mask

    def _equal_count(self, threshold: Threshold) -> bool | None:
        """Tell whether magnitudes equal to a threshold count in this block: all, none, or (None) the first ones."""
        block, unit = self._block, self._unit
        cut = (threshold.row, threshold.unit)
        last = (block.first + max(block.length - 1, 0)) // unit
        if threshold.row < 0 or (block.row, last) < cut:
            return True
        return None if (block.row, block.first // unit) <= cut else False

    def uniform(self, like: Any, model: int) -> Any:
        """Return random numbers in [0, 1) that depend on seed, output name, call, model and position alone."""
        key = _key(self._seed, self._name, self._call.path, model)
        return self._backend.uniform(key, self._block.first, self._block.length).reshape(like.shape)

    def parts(self, like: Any, count: int, seed: int) -> Any:
        """Return in which of so many random parts each entry lies: by seed, name and position alone."""
        numbers = self._backend.uniform(parts_key(seed, self._named), self._block.first, self._block.length)
        return parts_from(numbers.reshape(like.shape), count, self.xp)

    def agreeing_sum(self, arrays: Sequence[Any], weights: Sequence[float], *, normalize: bool) -> Any:
        """Return the sum of the weighted arrays that agree in sign with their majority."""
        return self._backend.agreeing_sum(arrays, weights, normalize=normalize)

    def ranks(self, array: Any) -> Any:
        """Return each entry's rank by magnitude within its row."""
        return self._backend.row_ranks(array)


@lru_cache(maxsize=256)
def _key(seed: int, name: str, path: str, model: int) -> int:
    return xxhash.xxh3_128_intdigest("\0".join((str(seed), name, path, str(model))).encode())
