"""How several models came to one common order: round by round, and how far every pair was apart before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Orders = Mapping[str, NDArray[np.int64]]

Distances = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Round:
    """Where all models stand after a round.

    Attributes:
        stage: ``start``, ``merge-many`` (every model is matched once to the mean of the others), ``frank-wolfe`` (one
            step) or ``rounded`` (from doubly stochastic matrices to permutations).
        objective: Sum over all pairs of models of the inner products of their tensors.
        distance: Root mean square distance of the models to their mean; None between permutations.
        changed: Models with another order than before; None where not counted.
    """

    stage: str
    objective: float
    distance: float | None = None
    changed: int | None = None


@dataclass(frozen=True)
class Common:
    """Orders that bring several models into one common order, and how they were found.

    Attributes:
        orders: Of every model, the first one included.
        rounds: From the start to the end; none where every model was matched once.
        sweeps: Steps and rounds, or passes over all groups where every model was matched once.
        converged: Whether the last of them gained nothing.
        medoid: Position of the model that all were matched to, where it was chosen among them.
        notes: What the user should know.
    """

    orders: Sequence[Orders]
    rounds: tuple[Round, ...] = ()
    sweeps: int = 0
    converged: bool = True
    medoid: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ManyReport:
    """How three and more models were brought into one common order.

    Attributes:
        way: ``reference``, ``mean``, ``medoid`` or ``universe``; what ``--many`` said.
        model: Number of this model; 1 is the one that stays.
        medoid: Number of the model with the smallest sum of distances to the others, where it was looked for.
        distances_before: Euclidean distance of every pair of models as they are, over all tensors.
        distances_after: The same in the common order.
        rounds: How the matching converged; none where every model was matched once.
    """

    way: str
    model: int
    medoid: int | None
    distances_before: Distances
    distances_after: Distances
    rounds: tuple[Round, ...] = ()
