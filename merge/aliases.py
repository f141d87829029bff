"""What the aliases of a YAML file stand for: a few lines of them can stand for more than any memory holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .errors import UsageError

MOST_VALUES = 1_000_000  # once every alias is written out
_OPEN = -1  # the size of a value that is still being counted


def check_aliases(document: Any, where: str) -> None:
    """Refuse a document whose aliases stand for too much, or for a value that holds itself.

    Args:
        document: As it was parsed, or its nodes before: values that are one object stand behind one anchor.
        where: The file, for messages.

    Raises:
        UsageError: They do.
    """
    if _count(document, {}, where) > MOST_VALUES:
        what = f"its aliases stand for more than {MOST_VALUES:,} values"
        raise UsageError(what, where=where, hint="write out what is meant")


def _count(value: Any, known: dict[int, int], where: str) -> int:
    """Return how many values there are in a value; each object is looked at once."""
    if not isinstance(value, Mapping | list | tuple | set) and not isinstance(getattr(value, "value", None), list):
        return 1
    size = known.get(id(value))
    if size == _OPEN:
        raise UsageError("an alias stands for a value that holds itself", where=where)
    if size is None:
        known[id(value)] = _OPEN
        size = known[id(value)] = 1 + sum(_count(below, known, where) for below in _below(value))
    return size


def _below(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [*value, *value.values()]
    return value if isinstance(value, list | tuple | set) else value.value
