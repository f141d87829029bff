"""Where every row of a tensor by token comes from: the plan of one tensor of one model, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

ZERO, AVERAGE, MEAN = -1, -2, -3  # in place of a model: zeros; the mean of several models' rows; of all tokens' rows
ABSENT = -1


class Choice(NamedTuple):
    """What a rule says of one token: a row of a model, or of none, ``ZERO``; ``force``: of every model alike."""

    member: int
    row: int
    force: bool


@dataclass(frozen=True, eq=False)
class Layout:
    """The output's rows and where each token is in every model.

    Attributes:
        numbers: Shape [models, rows]: of the token at each of the output's rows its number in each model, or -1.
        named: Shape [rows]: whether there is a token at all.
        kept: How many rows the model has whose tokenizer it is, where its padding is kept; else 0.
        donor: Which model that is, -1 for none.
        sizes: How many rows each model has.
        choices: By row, what rules say.
    """

    numbers: Numbers
    named: NDArray[np.bool_]
    kept: int
    donor: int
    sizes: tuple[int, ...]
    choices: Mapping[int, Choice]

    @property
    def rows(self) -> int:
        """How many rows the output has."""
        return len(self.named)


@dataclass(frozen=True, eq=False)
class RowPlan:
    """The rows of one tensor.

    Attributes:
        origin: Shape [rows]: the model from which each comes, or ``ZERO``, ``AVERAGE``, ``MEAN``.
        row: Shape [rows]: its row there; for an average, the column of ``owners``.
        owners: Shape [models, averages]: of each average the row in each model, or -1.
        named: Shape [rows]: whether there is a token.
    """

    origin: Numbers
    row: Numbers
    owners: Numbers
    named: NDArray[np.bool_]

    @property
    def computes(self) -> bool:
        """Whether any row is a mean."""
        return bool((self.origin <= AVERAGE).any())

    @property
    def entering(self) -> list[bool]:
        """Which models any row comes from."""
        numbers = range(len(self.owners))
        return [bool((self.origin == number).any() or (self.owners[number] != ABSENT).any()) for number in numbers]

    def is_identity(self, member: int, rows: int) -> bool:
        """Tell whether these are the model's own rows, all of them in their order."""
        import numpy as np

        same = len(self.row) == rows and bool((self.origin == member).all())
        return same and np.array_equal(self.row, np.arange(rows))


def plan_rows(layout: Layout, member: int, available: Sequence[bool]) -> RowPlan:
    """Decide where the rows of a tensor come from.

    A model's own row goes first, unless a rule is forced. Where it lacks the token: what a rule says, else the base's
    row, else the only owner's, else the mean of the owners', else zeros.

    Args:
        layout: The output's rows; model 0 is the base.
        member: The model whose tensor it is.
        available: Which models have this tensor.
    """
    import numpy as np

    owned = (layout.numbers != ABSENT) & np.asarray(available)[:, None]
    count, first = owned.sum(axis=0), owned.argmax(axis=0)
    origin = np.where((count == 1) | owned[0], first, np.where(count == 0, ZERO, AVERAGE))
    for place, choice in layout.choices.items():
        origin[place] = choice.member
    own = owned[member].copy()
    own[[place for place, choice in layout.choices.items() if choice.force]] = False
    origin[own] = member
    row = np.where(origin >= 0, layout.numbers[np.maximum(origin, 0), np.arange(layout.rows)], 0)
    for place, choice in layout.choices.items():
        if not own[place]:
            row[place] = max(choice.row, 0)
    _place_padding(layout, member, available, origin, row)
    averaged = np.flatnonzero(origin == AVERAGE)
    row[averaged] = np.arange(len(averaged))
    owners = np.where(owned[:, averaged], layout.numbers[:, averaged], ABSENT)
    return RowPlan(origin, row, owners, layout.named)


def _place_padding(layout: Layout, member: int, available: Sequence[bool], origin: Numbers, row: Numbers) -> None:
    """Fill in rows without a token: kept padding is the model's own where it has such a row, else the donor's."""
    import numpy as np

    places = np.flatnonzero(~layout.named)
    origin[places], row[places] = MEAN, 0
    kept = places[places < layout.kept]
    if layout.donor >= 0 and available[layout.donor]:
        origin[kept], row[kept] = layout.donor, kept
    taken = layout.numbers[member]
    spare = kept[(kept < layout.sizes[member]) & ~np.isin(kept, taken[taken != ABSENT])]
    origin[spare], row[spare] = member, spare
