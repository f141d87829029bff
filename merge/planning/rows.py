"""One row per output tensor, one reasoned skip per input tensor that goes nowhere: the ledger of a merge."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ..checkpoints.derived import TensorKey
from ..checkpoints.header import TensorInfo
from ..program import Expression
from ..recipe import Policy

Action = Literal["merge", "average", "copy", "check"]


class Scales(NamedTuple):
    """The factors of a row's 8-bit floats, a tensor of its own in the output.

    Attributes:
        name, dtype, shape: Of that tensor.
        block: Rows and columns of the entries that share a factor.
        power_of_two: Whether every factor is one.
        begin: Its place in the file of the row.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    block: tuple[int, int]
    power_of_two: bool = False
    begin: int = 0

    @property
    def is_single(self) -> bool:
        """Whether one factor is for the whole tensor."""
        return math.prod(self.shape) == 1


class Row(NamedTuple):
    """What becomes of one tensor.

    Attributes:
        action: ``merge``; ``average`` (BatchNorm statistics); ``copy`` (bit for bit, or cast); ``check``: an input
            tensor that is read for its content id only and has no output.
        expression: What is computed; an `Input` alone for a copy; None for a check.
        tensors: The tensor of every source that is read for this row, by position of the source.
        reason: Why it is not merged, or an empty string.
        file, begin: Place in the output: number of the file, offset within its data.
        asides: Source and tensor of statistics that are read as a whole.
        scales: Where the outcome is written as 8-bit floats with factors.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    action: Action
    expression: Expression | None
    tensors: tuple[TensorInfo | None, ...]
    reason: str = ""
    file: int = -1
    begin: int = 0
    asides: tuple[tuple[int, TensorInfo], ...] = ()
    scales: Scales | None = None

    @property
    def outputs(self) -> list[tuple[str, str, tuple[int, ...]]]:
        """Name, type and shape of what is written: the tensor, and its factors where it has some."""
        if self.action == "check":
            return []
        own = self.name, self.dtype, self.shape
        return [own, self.scales[:3]] if self.scales else [own]

    def of_scales(self) -> Row:
        """Return a row that stands for the factors where bytes are written."""
        assert self.scales is not None  # noqa: S101 - asked of rows that have some
        name, dtype, shape, *_ = self.scales
        return self._replace(name=name, dtype=dtype, shape=shape, begin=self.scales.begin, scales=None)


class Skip(NamedTuple):
    """An input tensor that is not in the output, and why; `twin` is the tensor that it should equal."""

    source: int
    name: str
    reason: str
    twin: str | None = None


@dataclass
class Ledger:
    """Every tensor of every input: in a row, or skipped for a reason.

    Attributes:
        averaged: Number of averaged BatchNorm statistics.
        same: Tensors that are read under another source only, which passes them on as they are, and as what.
    """

    rows: list[Row] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    averaged: int = 0
    same: Mapping[TensorKey, TensorKey] = field(default_factory=dict)


@dataclass(frozen=True)
class Policies:
    """The choices that decide about tensors which do not simply merge."""

    missing: Policy
    mismatch: Policy
    dtype: str | None
    kept: Callable[[str], object]
