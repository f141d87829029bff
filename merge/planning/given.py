"""The options of a recipe, checked against what a method declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..errors import UsageError, suggest
from ..options import Declaration, check_name
from ..recipe import OptionValue, place_of
from ..searched import Searched
from .needed_statistics import STATISTICS


def checked_options(
    given: Mapping[str, OptionValue], declared: Mapping[str, Declaration], method: str, where: str | None
) -> Iterator[tuple[str, OptionValue]]:
    """Yield the shared options, checked; a list is a course over depth and every value of it is checked."""
    for name, value in given.items():
        place = place_of(given, name, where)
        check_name(name, declared, method, place)
        if declared[name].per_model and not declared[name].shared:
            hint = f"write '{name}' beside each model, or {declared[name].flag} on the command line"
            raise UsageError(f"'{name}' of {method} has one value per model", where=place, hint=hint)
        yield name, checked_value(value, declared[name], place)


def checked_value(value: OptionValue, declaration: Declaration, where: str | None) -> OptionValue:
    """Return the value of an option, or every value of a course over depth, in the option's type.

    Raises:
        UsageError: It is none of the option's values.
    """
    for item in value if isinstance(value, list | tuple) else (value,):
        if isinstance(item, Searched):
            item.refuse(declaration)
    if not isinstance(value, list | tuple):
        return declaration.check(value, where)
    if declaration.type is not float or len(value) < 2:
        hint = declaration.help.rstrip(".") if declaration.type is str else None
        raise UsageError(f"{declaration.name} takes no list of {len(value)} values", where=where, hint=hint)
    return [declaration.check(item, where) for item in value]


def gathered_by_model(
    given: Sequence[tuple[Mapping[str, OptionValue], str | None]],
    shared: Mapping[str, OptionValue],
    declared: Mapping[str, Declaration],
    method: str,
) -> dict[str, OptionValue]:
    """Gather each per-model option into a tuple with one value per model, None where the default counts."""
    known = {name: declaration for name, declaration in declared.items() if declaration.per_model}
    for options, where in given:
        for name in options:
            if name not in known:
                hint = suggest(name, (*known, "data", *STATISTICS)) or (
                    "it belongs under options:" if name in declared else None
                )
                place = place_of(options, name, where)
                raise UsageError(f"{method} has no option '{name}' per model", where=place, hint=hint)
    found: dict[str, OptionValue] = {}
    for name, declaration in known.items():
        if any(name in options for options, _ in given):
            found[name] = tuple(
                checked_value(options[name], declaration, place_of(options, name, where))
                if name in options
                else shared.get(name)
                for options, where in given
            )
    return found
