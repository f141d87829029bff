"""Recipes of mergekit's other commands, which are told from those that are read here."""

from __future__ import annotations

from ..errors import UsageError
from ..section import Section

_TOOLS = {
    "experts": (
        "mergekit-moe, which builds routed experts out of dense models",
        "that is not built here; merge moe runs whole models side by side and averages their outputs",
    ),
    "genome": (
        "mergekit-evolve, which searches for parameters",
        "write a recipe with `{search: [low, high]}` in the place of numbers, and run merge search",
    ),
}


def refuse_other_tools(section: Section) -> None:
    """Refuse a recipe of a command of mergekit that merges nothing by itself.

    Raises:
        UsageError: Naming the command, and what there is instead.
    """
    for key, (tool, hint) in _TOOLS.items():
        if key in section.mapping and "merge" not in section.mapping:
            raise UsageError(f"this is a recipe of {tool}", where=section.where(key), hint=hint)
