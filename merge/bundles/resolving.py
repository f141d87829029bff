"""Options as they are given, of the whole and beside each member ▸ one value each, or one for every member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UsageError, suggest
from ..options import Declaration, check_name
from ..recipe import place_of

Given = Mapping[str, Any]


def resolve_options(
    rule: str, declared: Mapping[str, Declaration], given: Given, of_members: Sequence[Given], where: str | None
) -> dict[str, Any]:
    """Return every option's value, checked: a tuple where each member has its own.

    Args:
        rule: What messages call the rule.
        declared: Its options.
        given: Those of the whole.
        of_members: Those of each member.
        where: The place of the request, for messages; a file's options have places of their own.

    Raises:
        UsageError: An option is unknown, wrong, in the wrong place, or given for some members only.
    """
    _check_names(rule, declared, given, of_members, where)
    values: dict[str, Any] = {}
    for name, option in declared.items():
        if option.per_model:
            values[name] = _of_members(option, given, of_members, where)
        else:
            values[name] = option.check(given[name], place_of(given, name, where)) if name in given else option.default
    return values


def _check_names(
    rule: str, declared: Mapping[str, Declaration], given: Given, of_members: Sequence[Given], where: str | None
) -> None:
    for name in given:
        place = place_of(given, name, where)
        check_name(name, declared, rule, place)
        if declared[name].per_model and not declared[name].shared:
            raise UsageError(f"'{name}' has one value for each model", where=place, hint="give it beside each model")
    known = [name for name, option in declared.items() if option.per_model]
    for options in of_members:
        for name in options:
            if name not in known:
                hint = "it belongs under options:" if name in declared else suggest(name, known)
                place = place_of(options, name, where)
                raise UsageError(f"{rule} has no option '{name}' per model", where=place, hint=hint)


def _of_members(option: Declaration, given: Given, of_members: Sequence[Given], where: str | None) -> tuple[Any, ...]:
    name = option.name
    if not any(name in mapping for mapping in (given, *of_members)):
        default = option.default
        return (default(len(of_members)) if callable(default) else default,) * len(of_members)
    found = []
    for options in of_members:
        source = options if name in options else given
        if name not in source:
            raise UsageError(f"'{name}' is given for some members and not for others", where=where)
        found.append(option.check(source[name], place_of(source, name, where)))
    return tuple(found)
