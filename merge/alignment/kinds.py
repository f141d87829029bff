"""Which kinds of groups may move, as ``only`` says it: words with commas between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError, suggest
from .expanding import KINDS

if TYPE_CHECKING:
    from .groups import Groups


def chosen_kinds(only: str, where: str | None = None) -> set[str]:
    """Return the kinds that may move; all of them where nothing is said.

    Args:
        only: Kinds with commas between; empty: all.
        where: Where that stands.

    Raises:
        UsageError: There is no such kind.
    """
    kinds = {word.strip() for word in only.split(",") if word.strip()}
    for kind in sorted(kinds - set(KINDS)):
        hint = suggest(kind, KINDS) or f"one of {', '.join(KINDS)}"
        raise UsageError(f"there is no kind of groups '{kind}'", where=where, hint=hint)
    return kinds or set(KINDS)


def check_kinds(only: str, groups: Groups, where: str | None = None) -> set[str]:
    """Return the kinds that may move, each of which some group has.

    Args:
        only: Kinds with commas between; empty: all.
        groups: The groups of a model.
        where: Where ``only`` stands.

    Raises:
        UsageError: There is no such kind, or the model has no group of it, so that asking for it moves nothing.
    """
    kinds = chosen_kinds(only, where)
    present = {group.kind for group in groups.groups.values()}
    if only.strip() and (absent := sorted(kinds - present)):
        what = f"this model has no group of kind '{absent[0]}'"
        there = ", ".join(kind for kind in KINDS if kind in present)
        raise UsageError(what, where=where, hint=f"its groups are {there}" if there else None)
    return kinds
