"""The bytes of a tensor whose rows come from several models, read in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..checkpoints.files import Buffer
from ..dtypes import DTYPES, numpy_dtype
from .rows import ABSENT, AVERAGE, MEAN, ZERO, RowPlan
from .taking import BLOCK_BYTES, Origin, rounded, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .rows import Numbers

LEAST_BYTES = 2**16  # fewer bytes side by side are gathered with their neighbours
SUMMED = 2**18  # entries of a block of the mean's sum: fixed, so that its bytes depend on nothing else


class Gathered:
    """One tensor by token in the output's vocabulary. Any number of threads may read it.

    Args:
        dtype: Format code of its entries.
        width: Entries of a row.
        plan: Where its rows come from.
        origins: Every model's tensor, None where a model has no such tensor.
    """

    def __init__(self, dtype: str, width: int, plan: RowPlan, origins: Sequence[Origin | None]) -> None:
        self._dtype, self._width, self._plan, self._origins = dtype, width, plan, origins
        self._row_bytes = width * (DTYPES[dtype].bits // 8)
        self._lock = threading.Lock()
        self._mean: NDArray[Any] | None = None
        self._ends: Numbers | None = None

    def read_into(self, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this offset on."""
        done = 0
        while done < len(buffer):
            rest = buffer[done:]
            done += self._read_run(offset + done, rest) or self._read_block(offset + done, rest)

    def _read_run(self, offset: int, buffer: Buffer) -> int:
        """Read rows that lie side by side in one file right into the buffer; return how many bytes, 0 for few rows."""
        first = offset // self._row_bytes
        number, row = int(self._plan.origin[first]), int(self._plan.row[first])
        origin = self._origins[number] if number >= 0 else None
        if origin is None or origin.tensor.dtype != self._dtype:
            return 0
        wanted = min(len(buffer), self._run_end(first) * self._row_bytes - offset)
        if wanted < min(len(buffer), LEAST_BYTES):
            return 0
        origin.source.read_into(origin.tensor, offset + (row - first) * self._row_bytes, buffer[:wanted])
        return wanted

    def _run_end(self, first: int) -> int:
        """Return the row before which a run of neighbours ends."""
        import numpy as np

        if self._ends is None:
            new = (np.diff(self._plan.row) != 1) | (np.diff(self._plan.origin) != 0)
            self._ends = np.append(np.flatnonzero(new) + 1, len(self._plan.row))
        return int(self._ends[np.searchsorted(self._ends, first, side="right")])

    def _read_block(self, offset: int, buffer: Buffer) -> int:
        """Gather rows in memory and copy them into the buffer; return how many bytes."""
        import numpy as np

        size = self._row_bytes
        first = offset // size
        last = min(-(-(offset + len(buffer)) // size), first + max(1, BLOCK_BYTES // size))
        with np.errstate(all="ignore"):  # what is not finite is found in the outcome
            rows = self._gather(np.arange(first, last)).view("u1").reshape(-1)
        part = rows[offset - first * size :][: len(buffer)]
        buffer[: len(part)] = part.data
        return len(part)

    def _gather(self, places: Numbers) -> NDArray[Any]:
        """Return these rows of the output, in the tensor's own type."""
        import numpy as np

        origins, rows = self._plan.origin[places], self._plan.row[places]
        found = np.zeros((len(places), self._width), numpy_dtype(self._dtype))
        for number in np.unique(origins).tolist():
            taken = origins == number
            if number == MEAN:
                found[taken] = self._mean_row()
            elif number == AVERAGE:
                found[taken] = self._averages(rows[taken])
            elif number != ZERO:
                found[taken] = self._rows_of(number, rows[taken])
        return found

    def _rows_of(self, number: int, rows: Numbers) -> NDArray[Any]:
        """Return rows of one model; those of another type are rounded once."""
        import numpy as np

        origin = self._origins[number]
        if origin is None:  # the plan takes rows only from where there are any
            raise AssertionError(number)
        found = take(origin, rows, self._width)
        return found if origin.tensor.dtype == self._dtype else rounded(found.astype(np.float64), self._dtype)

    def _averages(self, columns: Numbers) -> NDArray[Any]:
        """Return means over the owners' rows, summed in float64 in the order of the models and rounded once."""
        import numpy as np

        total = np.zeros((len(columns), self._width))
        owners = self._plan.owners[:, columns]
        for origin, rows in zip(self._origins, owners, strict=True):
            has = rows != ABSENT
            if origin is not None and has.any():
                total[has] += take(origin, rows[has], self._width).astype(np.float64)
        return rounded(total / (owners != ABSENT).sum(axis=0)[:, None], self._dtype)

    def _mean_row(self) -> NDArray[Any]:
        """Return the mean of all tokens' rows, summed in float64 in their order and rounded once."""
        import numpy as np

        with self._lock:
            if self._mean is None:
                places, step = np.flatnonzero(self._plan.named), max(1, SUMMED // self._width)
                total = np.zeros(self._width)
                for first in range(0, len(places), step):
                    total += self._gather(places[first : first + step]).astype(np.float64).sum(axis=0)
                self._mean = rounded(total / max(len(places), 1), self._dtype)
            return self._mean
