"""Cycle-consistent matching: every model's units are brought to a universe, all groups of all models at once.

C2M3 (Crisostomi, Fumero, Baieri, Bernard, Rodolà, arXiv 2405.17897): the sum over all pairs of models of
the inner products of their weights in the universe is raised by the method of Frank and Wolfe. A step goes from the
present doubly stochastic matrices toward the permutations with the largest inner product with the gradient, which one
linear assignment finds for each group and model. Along the step the sum is a polynomial; its maximum is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from ..groups import Groups
from .assignment import assign
from .blending import blended, count_of, matrix_of
from .families import Family, Term
from .moving import by_units, moved, on_tensor
from .products import add_products
from .several import Several

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    Doubles = NDArray[np.float64]
    Numbers = NDArray[np.floating[Any]]
    Orders = Mapping[str, NDArray[np.int64]]
    Matrices = Mapping[str, csr_array]

ROUNDS = 200  # most steps
PATIENCE = 5  # steps of less than the least gain, after which it is done
LEAST_GAIN = 1e-6  # as a share of the sum
Told = Callable[[int, float], None]


class FrankWolfe:
    """Raises the inner products of several models over the orders of their flat families.

    A flat family is a group in which no other is nested. Nested groups keep the orders that they start with.

    Args:
        models: The models.
        families: The flat families.
        orders: Where to start, of every model.
        told: Called after every step with its number and the sum.
    """

    def __init__(self, models: Several, families: Sequence[Family], orders: Sequence[Orders], told: Told) -> None:
        self._models, self._orders, self._told = models, orders, told
        self._families = families
        self._names = [family.name for family in families]
        names = {term.tensor for family in families for term in family.terms} - models.tied
        self._tensors = sorted(names)

    def run(self, objective: float) -> tuple[list[Orders], list[float]]:
        """Return better orders, which the last matrices are rounded to, and the sums on the way.

        Args:
            objective: The sum at the start.

        Raises:
            MergeError: A tensor cannot be read, or has numbers that are not finite.
        """
        matrices: list[Matrices] = [{name: matrix_of(own[name]) for name in self._names} for own in self._orders]
        history, idle = [objective], 0
        while len(history) <= ROUNDS and idle < PATIENCE:
            goals = self._goals(matrices)
            step, gain = self._step(matrices, goals)
            matrices = [_between(own, goal, step) for own, goal in zip(matrices, goals, strict=True)]
            history.append(history[-1] + gain)
            idle = idle + 1 if gain < LEAST_GAIN * abs(history[-1]) else 0
            idle = idle if step else PATIENCE  # the next step would be the same
            self._told(len(history) - 1, history[-1])
        return [{**own, **_rounded(soft, own)} for own, soft in zip(self._orders, matrices, strict=True)], history

    def _goals(self, matrices: Sequence[Matrices]) -> list[Matrices]:
        """Return the permutations with the largest inner product with the gradient."""
        goals: list[dict[str, csr_array]] = [{} for _ in matrices]
        for family in self._families:
            for model, gradient in enumerate(self._gradients(family, matrices)):
                goals[model][family.name] = matrix_of(assign(gradient, self._orders[model][family.name]))
        return list(goals)

    def _gradients(self, family: Family, matrices: Sequence[Matrices]) -> Doubles:
        """Return the gradient with respect to one family's matrices: [models, places, units]."""
        import numpy as np

        size = family.group.size
        found = np.zeros((len(matrices), size, size))
        for term in family.terms:
            if term.tensor not in self._models.tied:
                self._add(found, term, matrices)
        return found

    def _add(self, found: Doubles, term: Term, matrices: Sequence[Matrices]) -> None:
        blends = self._blends(term.tensor, matrices)
        total = sum(blends[1:], start=blends[0])
        for model, blend in enumerate(blends):
            own = self._blend(model, term.tensor, term.others, matrices[model])
            add_products(found[model], by_units(total - blend, term.member), by_units(own, term.member))

    def _blends(self, name: str, matrices: Sequence[Matrices]) -> list[Numbers]:
        here = on_tensor(self._models.groups, name)
        return [self._blend(model, name, here, own) for model, own in enumerate(matrices)]

    def _blend(self, model: int, name: str, here: Groups, matrices: Matrices) -> Numbers:
        fixed = {group: order for group, order in self._orders[model].items() if group not in matrices}
        return blended(moved(self._models.readers[model].read(name), name, here, fixed), here, matrices)

    def _step(self, matrices: Sequence[Matrices], goals: Sequence[Matrices]) -> tuple[float, float]:
        """Return the length of the best step, and what it gains."""
        from numpy.polynomial import Polynomial

        @cache
        def at(place: float) -> list[Matrices]:
            return [_between(own, goal, place) for own, goal in zip(matrices, goals, strict=True)]

        total: Any = Polynomial([0.0])
        for name in self._tensors:
            total += Polynomial(self._coefficients(name, at))
        turns = total.deriv().roots().real.tolist()
        best = max([0.0, 1.0, *(turn for turn in turns if 0 < turn < 1)], key=total)
        return best, float(total(best) - total(0.0))

    def _coefficients(self, name: str, at: Callable[[float], Sequence[Matrices]]) -> Doubles:
        """Return the sum over pairs of the inner products of one tensor, by powers of the length of the step.

        The tensor itself is a polynomial of a degree that is the number of its axes that move. So it is known from its
        values at one place more, and the sum from the inner products of these.
        """
        import numpy as np

        degree = count_of(on_tensor(self._models.groups, name), self._names)
        places = np.linspace(0, 1, degree + 1)
        products = np.linalg.inv(np.vander(places, increasing=True))
        blends = [[blend.reshape(-1) for blend in self._blends(name, at(place))] for place in places.tolist()]
        rows = np.array(blends, dtype=np.float64)  # [places, models, numbers]
        total = rows.sum(axis=1)
        gram = (total @ total.T - sum(one @ one.T for one in rows.swapaxes(0, 1))) / 2
        powers = products @ gram @ products.T
        return np.array([np.trace(powers[::-1], power - degree) for power in range(2 * degree + 1)])


def _between(one: Matrices, other: Matrices, step: float) -> Matrices:
    """Return matrices at a place between others."""
    if step in {0, 1}:
        return other if step else one
    found = {}
    for name, matrix in one.items():
        found[name] = (1 - step) * matrix + step * other[name]
    return found


def _rounded(matrices: Matrices, orders: Orders) -> Orders:
    """Return the permutations with the largest inner product with doubly stochastic matrices."""
    return {name: assign(matrix.toarray(), orders[name]) for name, matrix in matrices.items()}
