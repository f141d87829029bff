"""One pass over all tensors of two models: norms, distance, similarity, and which tensors are the same one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from ..groups import Groups
from .moving import moved, on_tensor
from .pair import Pair

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..permutations import Orders

    Numbers = NDArray[np.floating[Any]]

PIECE = 2**20  # numbers that are turned into float64 at a time


@dataclass
class Survey:
    """What one pass has found.

    Attributes:
        objective: Sum of the products of all entries of the reference with those of the moved model, BatchNorm's
            statistics left out: what coordinate descent raises.
        distance: Euclidean distance of all tensors.
        masses: |A| |B| by tensor.
        tied: Tensors that are other names of one that was counted.
    """

    objective: float = 0.0
    distance: float = 0.0
    masses: dict[str, float] = field(default_factory=dict)
    tied: frozenset[str] = frozenset()


def survey(pair: Pair, groups: Groups, orders: Orders, *, find_tied: bool = False) -> Survey:
    """Read every tensor that both models have once.

    Args:
        pair: The models.
        groups: All groups.
        orders: How the second is moved.
        find_tied: Look for tensors that lie in the files more than once.

    Raises:
        MergeError: A tensor cannot be read, or holds NaN or infinities.
    """
    found, squares = Survey(tied=pair.tied), 0.0
    silent, known, tied = followers(groups), dict[Any, str](), set[str]()
    for name in _shared(pair):
        one, raw = pair.reference.read(name), pair.moved.read(name)
        if find_tied and one.ndim > 1 and known.setdefault(_content(one, raw), name) != name:
            tied.add(name)
            continue
        product, first, second, difference = _sums(one, moved(raw, name, on_tensor(groups, name), orders))
        found.masses[name] = math.sqrt(first * second)
        found.objective += 0.0 if name in silent else product
        squares += difference
    found.distance = math.sqrt(squares)
    found.tied |= tied
    return found


def check_shapes(pair: Pair, groups: Groups) -> None:
    """Refuse models whose units cannot correspond.

    Raises:
        MergeError: A tensor of a group is missing in one of them, or has another shape.
    """
    hint = "models of different width or depth cannot be aligned"
    for group in groups.groups.values():
        for name in {member.tensor: None for member in group.members}:
            for reader in (pair.reference, pair.moved):
                if name not in reader.shapes:
                    raise MergeError(f"has no floating tensor '{name}' of group '{group.name}'", where=reader.where)
            one, other = (tuple(reader.shapes[name]) for reader in (pair.reference, pair.moved))
            if one != other:
                what = f"'{name}' is {list(other)}, and {list(one)} in '{pair.reference.where}'"
                raise MergeError(what, where=pair.moved.where, hint=hint)


def _shared(pair: Pair) -> Iterator[str]:
    """Return the tensors that both models have in the same shape, of tied ones the first."""
    other = pair.moved.shapes
    names = (name for name, shape in pair.reference.shapes.items() if tuple(other.get(name, (-1,))) == tuple(shape))
    return (name for name in names if name not in pair.tied)


def followers(groups: Groups) -> set[str]:
    """Return the tensors that are moved but do not count: BatchNorm's statistics."""
    all_members = [(member, group) for group in groups.groups.values() for member in group.members]
    counting = {member.tensor for member, group in all_members if member not in group.only_follows}
    return {member.tensor for member, _ in all_members} - counting


def _content(one: Numbers, other: Numbers) -> tuple[Any, ...]:
    import numpy as np
    import xxhash

    return one.shape, *(xxhash.xxh3_128_digest(np.ascontiguousarray(array).data) for array in (one, other))


def pieces(length: int) -> Iterator[slice]:
    """Yield slices that cover so many numbers, few enough each to be held in float64."""
    return (slice(first, first + PIECE) for first in range(0, length, PIECE))


def _sums(one: Numbers, other: Numbers) -> tuple[float, float, float, float]:
    """Return the sums of A B, A A, B B and (A - B)^2 over all entries, in float64."""
    import numpy as np

    sums = np.zeros(4)
    flat, flat_other = one.reshape(-1), other.reshape(-1)
    for piece in pieces(len(flat)):
        a, b = flat[piece].astype(np.float64), flat_other[piece].astype(np.float64)
        sums += [a @ b, a @ a, b @ b, (a - b) @ (a - b)]
    product, first_square, second_square, difference = sums.tolist()
    return product, first_square, second_square, difference
