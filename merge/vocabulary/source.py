"""A checkpoint whose tensors by token have the rows of the output's vocabulary while they are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from ..checkpoints.checkpoint import FileIdentity, Source
from ..checkpoints.derived import DerivedSource
from ..checkpoints.files import Buffer
from ..checkpoints.header import TensorInfo
from ..dtypes import DTYPES
from .gathered import Gathered
from .rows import RowPlan
from .taking import Origin


class Rows(NamedTuple):
    """The rows of one tensor.

    Attributes:
        tensor: The source's tensor, of which these are the rows.
        axis: Along which axis they lie.
        plan: Where they come from.
        origins: Every model's tensor.
    """

    tensor: TensorInfo
    axis: int
    plan: RowPlan
    origins: tuple[Origin | None, ...]


class VocabularySource(DerivedSource):
    """Another source with another vocabulary; everything that is not by token is the source's own.

    Its tensors by token have the output's rows and a file number of their own.

    Args:
        source: Any checkpoint.
        rows: By tensor, its rows; where they are of a tensor under another name, the source has both then.
    """

    def __init__(self, source: Source, rows: Mapping[str, Rows]) -> None:
        first = max((tensor.file for tensor in source.tensors.values()), default=-1) + 1
        own = {name: _resized(name, found, first + number) for number, (name, found) in enumerate(rows.items())}
        super().__init__(source, {**source.tensors, **own}, f"{source.location} (rows by token)", rows)
        self._gathered = {name: _gathered(own[name], found) for name, found in rows.items()}
        self._digest = _digest(rows)

    @property
    def identities(self) -> list[FileIdentity]:
        """The source's files and the rows themselves."""
        return self.marked("rows", self._digest)

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this byte offset within the tensor."""
        found = self._gathered.get(tensor.name)
        if found is None:
            self.source.read_into(tensor, offset, buffer)
        else:
            found.read_into(offset, buffer)


def _resized(name: str, rows: Rows, file: int) -> TensorInfo:
    """Return the tensor with the output's number of rows."""
    tensor = rows.tensor
    shape = (*tensor.shape[: rows.axis], len(rows.plan.row), *tensor.shape[rows.axis + 1 :])
    nbytes = math.prod(shape) * DTYPES[tensor.dtype].bits // 8
    return tensor._replace(name=name, shape=shape, file=file, start=0, nbytes=nbytes)


def _gathered(tensor: TensorInfo, rows: Rows) -> Gathered:
    return Gathered(tensor.dtype, math.prod(tensor.shape[rows.axis + 1 :]), rows.plan, rows.origins)


def _digest(rows: Mapping[str, Rows]) -> int:
    """Return 64 bits that tell one choice of rows from another: by tensor, which model and row, or what else."""
    import xxhash

    found = xxhash.xxh3_64()
    for name, (_, axis, plan, origins) in sorted(rows.items()):
        named = [origin.tensor.name if origin else "" for origin in origins]
        found.update("\0".join((name, str(axis), *named)).encode())
        for numbers in (plan.origin, plan.row, plan.owners, plan.named):
            found.update(numbers.astype("<i8").tobytes())
    return found.intdigest()
