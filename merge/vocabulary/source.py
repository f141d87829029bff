"""A checkpoint whose tensors by token have the rows of the output's vocabulary while they are read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..checkpoints.checkpoint import FileIdentity, Source
from ..checkpoints.files import Buffer
from ..checkpoints.header import TensorInfo
from ..checkpoints.target import OUR_KEY
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


class VocabularySource:
    """Another source with another vocabulary; everything that is not by token is the source's own.

    Attributes:
        source: The checkpoint as it lies on the disk. It is closed by whoever opened it.
        changed: Names of the tensors whose bytes are not the source's own.
        location: What stands for it in messages.
        tensors: As the source has them, those by token with the output's rows and a file number of their own.

    Args:
        source: Any checkpoint.
        rows: By tensor, its rows; where they are of a tensor under another name, the source has both then.
    """

    def __init__(self, source: Source, rows: Mapping[str, Rows]) -> None:
        self.source, self.changed = source, frozenset(rows)
        self.location = f"{source.location} (rows by token)"
        self.notes: list[str] = []
        first = max((tensor.file for tensor in source.tensors.values()), default=-1) + 1
        own = {name: _resized(name, found, first + number) for number, (name, found) in enumerate(rows.items())}
        self.tensors: Mapping[str, TensorInfo] = {**source.tensors, **own}
        self._gathered = {name: _gathered(own[name], found) for name, found in rows.items()}
        self._digest = _digest(rows)

    @property
    def metadata(self) -> Mapping[str, str]:
        """The source's, without its content id: these are other bytes."""
        return {key: value for key, value in self.source.metadata.items() if key != OUR_KEY}

    @property
    def config(self) -> Mapping[str, Any]:
        """The source's config.json."""
        return self.source.config

    @property
    def folder(self) -> Path | None:
        """The folder of the source, where it has one."""
        return getattr(self.source, "folder", None)

    @property
    def weights_name(self) -> str:
        """Name that a single-file output in a folder should have."""
        return str(getattr(self.source, "weights_name", "model.safetensors"))

    @property
    def identities(self) -> list[FileIdentity]:
        """The source's files and the rows themselves."""
        files = self.source.identities
        return [*files, FileIdentity("rows", 0, 0, 0, self._digest)] if files else []

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this byte offset within the tensor."""
        found = self._gathered.get(tensor.name)
        if found is None:
            self.source.read_into(tensor, offset, buffer)
        else:
            found.read_into(offset, buffer)

    def check_unchanged(self) -> None:
        """Refuse to go on when the files are no longer what was opened; the other models' are checked as their own."""
        self.source.check_unchanged()

    def close(self) -> None:
        """Nothing is held open here."""


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
