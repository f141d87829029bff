"""Options that stand open in a recipe: ``{search: [low, high]}`` where a number is expected.

`merge search` tries numbers in their place. Everything else that meets such an option refuses the recipe.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from .errors import UsageError
from .options import Declaration
from .section import Section

KEYS = ("search", "log", "step")
# Keys of the grammar's own mappings. One that holds such a key is read, and refused, as what it is.
_NO_MARK = frozenset({"merge", "models", "model", "match", "path", "options"})
EXAMPLE = "for example options: {density: {search: [0.1, 0.5]}}"


@dataclass(frozen=True)
class Searched:
    """An open option.

    Attributes:
        low: The smallest number to try.
        high: The largest.
        log: Whether numbers are spread evenly over their logarithms.
        step: Only low, low + step, low + 2 step … are tried.
        name: How ``--set`` names the option: ``options.density``, ``models.0.weight``.
        where: ``recipe.yaml:line:column``.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    name: str = ""
    where: str | None = None

    def __repr__(self) -> str:
        """Return it as the recipe has it."""
        more = ", log: true" if self.log else f", step: {self.step:g}" if self.step else ""
        return f"{{search: [{self.low:g}, {self.high:g}]{more}}}"

    def check(self, declaration: Declaration) -> None:
        """Refuse what cannot be searched: an option that is no number, or bounds outside its range.

        Raises:
            UsageError: With the place of the mark.
        """
        if declaration.type not in {int, float}:
            raise UsageError(f"'{declaration.name}' is no number and cannot be searched", where=self.where)
        for number in (self.low, self.high, *([self.low + self.step] if self.step else [])):
            declaration.check(number, self.where)

    def refuse(self, declaration: Declaration) -> NoReturn:
        """Refuse the recipe where a number is needed now; a wrong mark is refused as such.

        Raises:
            UsageError: Always.
        """
        self.check(declaration)
        hint = f"run `merge search`, or give a number: --set {self.name}={self.low:g}"
        raise UsageError(f"'{declaration.name}' is marked for search", where=self.where, hint=hint)


def place_marks(section: Section) -> None:
    """Replace every mark below a recipe's top by a `Searched`, in place.

    Raises:
        UsageError: A mark is not ``{search: [low, high]}`` with low below high.
    """
    seen = set()  # an alias leads to one mapping from two places, or to a mapping from inside itself

    def walk(parent: Any, path: str, where: str) -> None:
        if id(parent) in seen:
            return
        seen.add(id(parent))
        for key, value in _entries(parent):
            name = f"{path}{key}"
            place = Section(section.name, parent).where(key) if isinstance(parent, dict) else where
            if _is_mark(value):
                parent[key] = _read(Section(place, dict(value)), name)
            elif isinstance(value, dict | list):
                walk(value, f"{name}.", place)

    walk(section.mapping, "", section.name)


def _entries(parent: Any) -> Iterator[tuple[Any, Any]]:
    return iter(list(parent.items() if isinstance(parent, dict) else enumerate(parent)))


def _is_mark(value: object) -> bool:
    return isinstance(value, dict) and "search" in value and not _NO_MARK & value.keys()


def _read(section: Section, name: str) -> Searched:
    """Read one mark; the section is called by the place of the option, which is the place of all complaints."""
    section.check_keys(KEYS)
    bounds = section.numbers("search")
    if len(bounds) != 2 or not bounds[0] < bounds[1]:
        raise UsageError("search takes [low, high], low below high", where=section.name, hint=EXAMPLE)
    log = section.mapping.get("log", False)
    if not isinstance(log, bool) or (log and bounds[0] <= 0):
        raise UsageError("log must be true or false, and true needs bounds above 0", where=section.name)
    step = section.number("step")
    if step is not None and (log or not 0 < step <= bounds[1] - bounds[0]):
        raise UsageError("step must be above 0, fit between the bounds, and stand without log", where=section.name)
    return Searched(*bounds, log, step, name, section.name)


def steps(low: float, high: float, step: float) -> int:
    """Return how many steps fit between two numbers, as they are written in decimals."""
    return int((Decimal(str(high)) - Decimal(str(low))) / Decimal(str(step)))


def at_step(low: float, step: float, number: int) -> float:
    """Return low + number * step without the rounding errors of binary fractions."""
    return float(Decimal(str(low)) + number * Decimal(str(step)))
