"""How the modules of one kind of network are called in two layouts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Section(NamedTuple):
    """How the modules of one kind of network are called.

    Attributes:
        places: Module in ldm's names ▸ module in diffusers' names.
        leaves: What follows a place in ldm's names, without `.weight` or `.bias` ▸ what follows it in diffusers'.
        fused: What follows a place, of a tensor whose rows are several tensors one below the other ▸ what those are.
        transposed: Whole names of matrices whose axes are exchanged.
        older: Names that diffusers once wrote ▸ those that it writes.
        flattened: Places whose matrices are 1x1 convolutions in ldm.
    """

    places: Mapping[str, str]
    leaves: Mapping[str, str] = {}
    fused: Mapping[str, tuple[str, ...]] = {}
    transposed: frozenset[str] = frozenset()
    older: Mapping[str, str] = {}
    flattened: frozenset[str] = frozenset()
