"""The rules that join the members of a bundle, one file each."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from ...errors import UsageError, suggest
from ..rule import Rule


@cache
def rule_names() -> tuple[str, ...]:
    """Return the names of all rules, without importing them."""
    return tuple(sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__)))


@cache
def find_rule(name: str) -> Rule:
    """Return the rule of this name; ``_`` and ``-`` are the same.

    Raises:
        UsageError: For an unknown name, with a suggestion.
    """
    wanted = name.replace("_", "-")
    if wanted not in rule_names():
        hint = suggest(wanted, rule_names()) or f"known: {', '.join(rule_names())}"
        raise UsageError(f"unknown rule '{name}'", hint=hint)
    module = importlib.import_module(f"{__name__}.{wanted.replace('-', '_')}")
    found = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__]
    (rule,) = (one for one in found if issubclass(one, Rule))
    return rule()
