"""An integer programme: one choice for each group, at the least cost, within so many parameters.

A product of two groups' numbers, as in the size of the matrix between them, is made linear by one variable for each
pair of choices, whose sums are the choices themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .parameter_counts import Names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GAP = 1e-3  # of the best value, at which the search ends
NODES = 2_000  # most parts of the search; a count, so that every machine finds the same


class Programme:
    """The variables are 1 for what is chosen: for each group its choices, for each product the pairs of choices.

    Args:
        choices: Numbers that a group may take.
        costs: What each of them costs [choices].
        parameters: Number of parameters as a polynomial in the groups' numbers; see `count_parameters`.
        bound: Most parameters.
    """

    def __init__(
        self,
        choices: Mapping[str, Sequence[int]],
        costs: Mapping[str, NDArray[np.float64]],
        parameters: Mapping[Names, int],
        bound: float,
    ) -> None:
        import numpy as np

        self._choices, self._count = choices, 0
        self._sums: list[tuple[dict[int, float], float, float]] = []  # of variables, and between what they must lie
        self._places = {name: self._new(len(numbers)) for name, numbers in choices.items()}
        self._costs = np.concatenate([costs[name] for name in choices])
        for place in self._places.values():
            self._sums.append((dict.fromkeys(place, 1.0), 1.0, 1.0))
        most = (bound - parameters.get((), 0)) / bound
        self._sums.append((self._size(parameters, bound), -np.inf, most))

    def solve(self) -> dict[str, int] | None:
        """Return the number of each group, or None where the search finds none."""
        import numpy as np
        from scipy.optimize import Bounds, LinearConstraint, milp

        others = self._count - len(self._costs)
        result = milp(
            np.append(self._costs, np.zeros(others)),
            integrality=np.append(np.ones(len(self._costs)), np.zeros(others)),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(*self._constraints()),
            options={"mip_rel_gap": GAP, "node_limit": NODES},
        )
        if result.x is None:
            return None
        picked = {name: int(np.argmax(result.x[place.start : place.stop])) for name, place in self._places.items()}
        return {name: self._choices[name][place] for name, place in picked.items()}

    def _new(self, count: int) -> range:
        first, self._count = self._count, self._count + count
        return range(first, self._count)

    def _size(self, parameters: Mapping[Names, int], bound: float) -> dict[int, float]:
        """Return the number of parameters but for the constant, as a share of the bound, as a sum of variables."""
        found: dict[int, float] = {}
        for names, factor in parameters.items():
            for place, number in self._terms(names):
                found[place] = found.get(place, 0.0) + factor * number / bound
        return found

    def _terms(self, names: Names) -> Iterator[tuple[int, float]]:
        """Yield the variables that tell a product of groups' numbers, with its value for each."""
        if len(set(names)) == 2:
            yield from self._pairs(*names)
        elif names:
            for place, number in zip(self._places[names[0]], self._choices[names[0]], strict=True):
                yield place, float(number) ** len(names)

    def _pairs(self, one: str, other: str) -> Iterator[tuple[int, float]]:
        """Yield a variable for each pair of choices; its row and its column sum up to the choices."""
        first, second = self._choices[one], self._choices[other]
        width = len(second)
        both = self._new(len(first) * width)
        for row, place in enumerate(self._places[one]):
            self._sums.append((dict.fromkeys(both[row * width : (row + 1) * width], 1.0) | {place: -1.0}, 0.0, 0.0))
        for column, place in enumerate(self._places[other]):
            self._sums.append((dict.fromkeys(both[column::width], 1.0) | {place: -1.0}, 0.0, 0.0))
        for number, place in enumerate(both):
            yield place, float(first[number // width] * second[number % width])

    def _constraints(self) -> tuple[Any, list[float], list[float]]:
        from scipy.sparse import coo_array

        entries = [
            (row, column, value) for row, (sums, _, _) in enumerate(self._sums) for column, value in sums.items()
        ]
        rows, columns, values = zip(*entries, strict=True)
        matrix = coo_array((values, (rows, columns)), shape=(len(self._sums), self._count)).tocsr()
        return matrix, [low for _, low, _ in self._sums], [high for _, _, high in self._sums]
