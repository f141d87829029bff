"""How many parameters a wide network has, as a polynomial in the numbers of pairs that stay apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import MergeError

if TYPE_CHECKING:
    from .joint_file import Joint
    from .widths import Shapes

Names = tuple[str, ...]  # of the groups whose numbers are multiplied: none, one, or two

TOO_MANY = "the solver knows of tensors with two such axes; take --allocation even or quantile"


def count_parameters(joint: Joint, first: Shapes, second: Shapes, heads: Mapping[str, int]) -> dict[Names, int]:
    """Return the coefficients of a polynomial: () of the constant, (group,) and (group, group) of products.

    Args:
        joint: What is known of the two models.
        first: Shapes of the first model's floating tensors.
        second: Of the second's.
        heads: As `Layout` takes them.

    Raises:
        MergeError: A tensor has more than two axes that widen.
    """
    total = Counter[Names]()
    for name, shape in first.items():
        found = Counter[Names]({(): 1})
        for axis, length in enumerate(shape):
            apart = second[name][axis] if heads.get(name) == axis else 0
            found = _product(found, _length(joint, name, axis, length + apart))
        if any(len(names) > 2 for names in found):
            raise MergeError(f"'{name}' has more than two axes that widen", hint=TOO_MANY)
        total.update(found)
    return dict(total)


def _length(joint: Joint, name: str, axis: int, length: int) -> Counter[Names]:
    """Return the length of an axis: what it is, and what each pair that stays apart adds."""
    found = Counter[Names]({(): length})
    for group in sorted(joint.widens):
        for member in joint.groups.groups[group].members:
            if (member.tensor, member.axis) == (name, axis):
                found[group,] += member.length // member.size
    return found


def _product(one: Counter[Names], other: Counter[Names]) -> Counter[Names]:
    found = Counter[Names]()
    for left, times in one.items():
        for right, factor in other.items():
            found[tuple(sorted((*left, *right)))] += times * factor
    return found


def evaluate(parameters: Mapping[Names, int], counts: Mapping[str, int]) -> int:
    """Return the number of parameters where so many pairs of each group stay apart."""
    import math

    return sum(factor * math.prod(counts[name] for name in names) for names, factor in parameters.items())
