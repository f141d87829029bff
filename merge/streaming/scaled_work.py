"""One tensor that is written as 8-bit floats with scales: computed and quantised, or passed on as it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..checkpoints.checkpoint import Source
from ..checkpoints.files import Buffer
from ..checkpoints.header import TensorInfo
from ..checkpoints.scaled import ScaledCheckpoint, stored_as
from ..content_id import BlockHasher
from ..dtypes import numpy_dtype
from ..planning.rows import Row
from ..program import Input
from .evaluation import accumulator_of
from .pieces import Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .chunks import Chunk
    from .requantising import Quantiser
    from .stochastic import Draws
    from .worker import Worker

_OUTPUT = -1
Hashers = Mapping[int, BlockHasher]


class ScaledWork:
    """The work on one row that has scales.

    Args:
        row: The row.
        sources: The plan's.
        worker: Reads, computes and writes chunks.
        draws: The tensor's random numbers, where it is rounded stochastically.
    """

    def __init__(self, row: Row, sources: Sequence[Source], worker: Worker, draws: Draws | None = None) -> None:
        self._row, self._worker, self._draws = row, worker, draws
        self._computed = row._replace(dtype=accumulator_of(row))  # from which it is rounded to 8 bits, once
        self._stored = _stored(row, sources)

    def process(self, span: Span) -> list[list[bytes]]:
        """Write the tensor and its scales; return the digests of what was read, and of both.

        Raises:
            MergeError: Naming tensor and file.
        """
        read = [source for source, tensor in enumerate(self._row.tensors) if tensor]
        hashers = {key: BlockHasher() for key in (*read, _OUTPUT)}
        chunks = list(self._worker.chunks(span))
        scales = memoryview(self._quantised(chunks, hashers) if self._stored is None else self._copied(chunks, hashers))
        of_scales = BlockHasher()
        self._worker.write(self._row.of_scales(), chunks[0], scales, of_scales)
        return [*(hashers[key].finish() for key in (*read, _OUTPUT)), of_scales.finish()]

    def _copied(self, chunks: Sequence[Chunk], hashers: Hashers) -> bytes:
        """Write the 8-bit floats that are stored; return their scales."""
        for chunk in chunks:
            codes = memoryview(bytearray(chunk.length))
            own = {_source(self._row): partial(self._read_stored, codes)}
            raws = self._worker.read_all(self._row, chunk, hashers, own)
            self._worker.check_finite(raws, self._row, chunk)
            self._worker.write(self._row, chunk, codes, hashers[_OUTPUT])
        assert self._stored is not None  # noqa: S101 - called where it is known
        return self._stored.stored_scales(_tensor(self._row))

    def _read_stored(self, codes: Buffer, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        assert self._stored is not None  # noqa: S101 - called where it is known
        self._stored.read_stored(tensor, offset // 2, buffer, codes)

    def _quantised(self, chunks: Sequence[Chunk], hashers: Hashers) -> bytes:
        """Compute the outcome and write it as 8-bit floats; return their scales."""
        from .requantising import Quantiser, largest_magnitude

        assert self._row.scales is not None  # noqa: S101 - else there is nothing to do here
        if not self._row.scales.is_single:
            quantiser = Quantiser(self._row, None, self._draws)
            return b"".join(self._written(quantiser, self._values(chunk, hashers), chunk, hashers) for chunk in chunks)
        if len(chunks) == 1:
            values = self._values(chunks[0], hashers)
            quantiser = Quantiser(self._row, largest_magnitude(values), self._draws)
            self._written(quantiser, values, chunks[0], hashers)
            return quantiser.single_scale()
        largest = max(largest_magnitude(self._values(chunk, None)) for chunk in chunks)
        quantiser = Quantiser(self._row, largest, self._draws)
        for chunk in chunks:
            self._written(quantiser, self._values(chunk, hashers), chunk, hashers)
        return quantiser.single_scale()

    def _values(self, chunk: Chunk, hashers: Hashers | None) -> NDArray[Any]:
        """Return the outcome of a chunk before it is rounded."""
        import numpy as np

        raws = self._worker.read_all(self._row, chunk, hashers)
        return np.frombuffer(self._worker.outcome(self._computed, chunk, raws), numpy_dtype(self._computed.dtype))

    def _written(self, quantiser: Quantiser, values: NDArray[Any], chunk: Chunk, hashers: Hashers) -> bytes:
        codes, scales = quantiser.quantise(values, chunk.first)
        self._worker.write(self._row, chunk, codes.data, hashers[_OUTPUT])
        return scales


def _stored(row: Row, sources: Sequence[Source]) -> ScaledCheckpoint | None:
    """Return the checkpoint whose stored tensor a row passes on, in its own layout; None where it is computed."""
    if not isinstance(row.expression, Input):
        return None
    tensor = _tensor(row)
    found = stored_as(sources[row.expression.source], tensor)
    if found is None or row.scales is None:
        return None
    scaled = found.scaled[tensor.name]
    same = scaled.weight.dtype == row.dtype and scaled.scale.dtype == row.scales.dtype
    return found if same and scaled.scale.shape == row.scales.shape and scaled.block == row.scales.block else None


def _source(row: Row) -> int:
    assert isinstance(row.expression, Input)  # noqa: S101 - called for copies
    return row.expression.source


def _tensor(row: Row) -> TensorInfo:
    tensor = row.tensors[_source(row)]
    assert tensor is not None  # noqa: S101 - the planner uses present tensors only
    return tensor
