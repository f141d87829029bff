"""The two models of a matching, and what one term says of their units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .families import Term
from .moving import by_units, moved
from .readers import Reader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..permutations import Orders

    Numbers = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Pair:
    """A model that stays, and one whose units are brought into its order.

    Attributes:
        reference: The model that stays.
        moved: The model that is moved.
        tied: Tensors that are other names of one that counts already.
    """

    reference: Reader
    moved: Reader
    tied: frozenset[str] = frozenset()

    def views(self, term: Term, orders: Orders) -> tuple[Numbers, Numbers]:
        """Return a term's tensor of both models by units [units, nested units …, rest].

        Of the moved model everything is in the order that it has, except for the units themselves: so the order that
        is found by these views replaces the family's present one.
        """
        nested = list(term.inner.values())
        other = moved(self.moved.read(term.tensor), term.tensor, term.others, orders)
        return by_units(self.reference.read(term.tensor), term.member, nested), by_units(other, term.member, nested)
