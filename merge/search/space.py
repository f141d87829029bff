"""What is searched: the open options of a recipe as coordinates from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import UsageError
from ..method import Method
from ..options import check_name
from ..planning.named import named_method
from ..recipe import Merge, OptionValue
from ..searched import EXAMPLE, Searched, at_step, steps

DIGITS = 6  # significant digits of a number that is tried: what a recipe shows is what was tried
Values = dict[str, float]


@dataclass(frozen=True)
class Parameter:
    """One open option.

    Attributes:
        mark: What the recipe says of it.
        integer: Whether it takes whole numbers only.
    """

    mark: Searched
    integer: bool = False

    @property
    def name(self) -> str:
        """How ``--set`` names it."""
        return self.mark.name

    def at(self, position: float) -> float:
        """Return the number at a position from 0 (low) to 1 (high)."""
        low, high, step = self.mark.low, self.mark.high, self.mark.step
        if step is not None:
            found = at_step(low, step, round(position * steps(low, high, step)))
        elif self.mark.log:
            found = low * (high / low) ** position
        else:
            found = low + position * (high - low)
        if self.integer:
            return round(found)
        return found if step is not None else min(max(float(f"{found:.{DIGITS}g}"), low), high)

    def positions(self, count: int) -> list[float]:
        """Return evenly spread positions, both ends included: one for every step where there are steps."""
        step = self.mark.step
        last = count - 1 if step is None else steps(self.mark.low, self.mark.high, step)
        spread = {self.at(number / last): number / last for number in range(last + 1)}
        return list(spread.values())  # whole numbers that lie closer than the positions are tried once


@dataclass(frozen=True)
class Space:
    """All open options, in the order of the recipe."""

    parameters: Sequence[Parameter]

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def names(self) -> list[str]:
        """The names of the options."""
        return [parameter.name for parameter in self.parameters]

    def at(self, positions: Sequence[float]) -> Values:
        """Return the numbers at one position for each option."""
        return {one.name: one.at(position) for one, position in zip(self.parameters, positions, strict=True)}


def space_of(merge: Merge) -> Space:
    """Find and check the open options of a recipe.

    Raises:
        UsageError: There is none, or one is no number or has bounds outside its range.
    """
    found = []
    for method, options in _all_options(merge):
        for name, value in options.items():
            for item in value if isinstance(value, list) else (value,):
                if isinstance(item, Searched):
                    found.append(_parameter(item, name, method))
    if not found:
        raise UsageError("no option of the recipe is marked for search", where=merge.where, hint=EXAMPLE)
    return Space(found)


def _parameter(mark: Searched, name: str, method: Method) -> Parameter:
    declared = method.options.declarations
    check_name(name, declared, method.name, mark.where)
    mark.check(declared[name])
    return Parameter(mark, declared[name].type is int)


def _all_options(merge: Merge) -> Iterator[tuple[Method, Mapping[str, OptionValue]]]:
    """Yield every mapping of options of a merge and those nested in it, with the method that they are for."""
    method = named_method(merge.method, merge.where)
    yield method, merge.options
    for rule in merge.layers:
        yield from ((method, options) for options in (rule.options, *rule.models))
    for name, options in merge.then:
        yield named_method(name, merge.where), options
    for model in (*merge.models, *([merge.base] if merge.base is not None else [])):
        yield method, model.options
        if isinstance(model.model, Merge):
            yield from _all_options(model.model)


def settings_of(values: Mapping[str, float]) -> list[str]:
    """Return numbers as overrides of a recipe: ``options.density=0.2``."""
    return [f"{name}={value!r}" for name, value in values.items()]
