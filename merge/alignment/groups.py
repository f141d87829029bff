"""Permutation groups as data: which axes of which tensors carry the same units, so that they move together.

An axis of a tensor is cut into factors. ``blocks.0.attn.qkv.weight:0[3,12,64]/1`` says: view axis 0 as 3 x 12 x 64 and
permute sub-axis 1. A piece of an axis, as in a concatenation, has an offset: ``classifier.weight:1@64[32]/0``.

A group with a parent is nested in it: its permutation may differ for each index of the parent's (units within each
attention head). Its members then have the parent's factor on the same axis, left of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Member:
    """A sub-axis of a tensor that carries a group's units.

    Attributes:
        tensor: Name in the checkpoint.
        axis: Axis of the tensor, from 0.
        sizes: Sizes as which the axis, or the piece of it, is viewed, the outermost first; their product is its length.
        factor: Which of the sizes is permuted.
        offset: Where the piece begins on the axis.
    """

    tensor: str
    axis: int
    sizes: tuple[int, ...]
    factor: int = 0
    offset: int = 0

    @property
    def size(self) -> int:
        """Number of units."""
        return self.sizes[self.factor]

    @property
    def length(self) -> int:
        """Length of the piece of the axis."""
        return math.prod(self.sizes)

    def text(self, length: int) -> str:
        """Return how a file of groups writes this member of an axis of some length: pieces say where they begin."""
        if self.length == length:
            return str(self)
        return f"{self.tensor}:{self.axis}@{self.offset}[{','.join(map(str, self.sizes))}]/{self.factor}"

    def __str__(self) -> str:
        text = f"{self.tensor}:{self.axis}" + (f"@{self.offset}" if self.offset else "")
        if len(self.sizes) == 1 and not self.offset:
            return text
        return f"{text}[{','.join(map(str, self.sizes))}]/{self.factor}"


@dataclass(frozen=True)
class Group:
    """Units that may be reordered, in all members at once, without changing the function.

    Attributes:
        name: ``residual``, ``heads.0``, ``mlp.0`` …
        size: Number of units.
        members: Where they are.
        kind: What ``--only`` selects by: ``residual``, ``heads``, ``within-heads``, ``mlp``, ``other``.
        parent: Name of the group within whose units this one lies.
        only_follows: Members that are permuted but say nothing about which units belong together: BatchNorm statistics.
    """

    name: str
    size: int
    members: tuple[Member, ...]
    kind: str = "other"
    parent: str | None = None
    only_follows: frozenset[Member] = frozenset()


@dataclass(frozen=True)
class Groups:
    """All groups of a model.

    Attributes:
        groups: By name; parents before the groups nested in them.
        pinned: Why axes stay as they are: ``tensor:axis`` ▸ reason, for `--explain`.
        origin: Where the groups come from: ``traced``, a template's name, or a file.
    """

    groups: Mapping[str, Group]
    pinned: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""

    def nested(self, name: str) -> list[Group]:
        """Return the groups whose parent is this one."""
        return [group for group in self.groups.values() if group.parent == name]
