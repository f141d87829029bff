"""Finds the methods: every module of `merge.methods`, and the entry-point group `merge.methods` of other packages."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import methods
from .errors import MergeError, UsageError, suggest
from .method import Method

if TYPE_CHECKING:
    from .bundles.rule import Rule

ENTRY_POINTS = "merge.methods"


def canonical(name: str) -> str:
    """Return a method's name as it is listed: in method names ``_`` and ``-`` are the same."""
    return name.replace("_", "-")


@cache
def built_in_names() -> tuple[str, ...]:
    """Return the names of the methods in this package, without importing them."""
    return tuple(sorted(canonical(module.name) for module in pkgutil.iter_modules(methods.__path__)))


@cache
def _plug_ins() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {canonical(entry.name): entry for entry in entry_points(group=ENTRY_POINTS)}


def method_names() -> list[str]:
    """Return the names of all methods, those of other packages included."""
    return sorted({*built_in_names(), *_plug_ins()})


def usable_methods() -> tuple[list[Method], list[str]]:
    """Return all methods that can be imported, and what is wrong with the others."""
    found, problems = [], []
    for name in method_names():
        try:
            found.append(find_method(name))
        except MergeError as error:
            problems.append(str(error))
    return found, problems


@cache
def find_method(name: str) -> Method:
    """Return the method of this name.

    Raises:
        UsageError: For an unknown name, with a suggestion.
        MergeError: When another package's method cannot be imported.
    """
    wanted = canonical(name)
    if wanted in built_in_names():
        return _method_in(importlib.import_module(f"{methods.__name__}.{wanted.replace('-', '_')}"))
    entry = _plug_ins().get(wanted)
    if entry is None:
        _refuse_rule(wanted)
        names = method_names()
        raise UsageError(f"unknown method '{name}'", hint=suggest(wanted, names) or f"known: {', '.join(names)}")
    try:
        loaded = entry.load()
    except Exception as error:
        raise MergeError(f"the method '{wanted}' of another package cannot be imported: {error}") from error
    method: Method = _method_in(loaded) if isinstance(loaded, ModuleType) else loaded()
    if method.name != wanted:
        what = f"the entry point '{wanted}' of another package leads to the method '{method.name}'"
        raise MergeError(what, hint="an entry point is named like the module of its method")
    return method


def find_declared(name: str) -> Method | Rule:
    """Return the method, or the rule that joins models at inference, of this name. Raises as `find_method` does."""
    from .bundles.rules import find_rule, rule_names

    return find_rule(name) if canonical(name) in rule_names() else find_method(name)


def _refuse_rule(name: str) -> None:
    """Raise UsageError for what joins models at inference."""
    from .bundles.rules import rule_names

    if name in rule_names():
        hint = "write the bundle by itself"
        raise UsageError(f"{name} writes a bundle, which is joined when it runs and is no part of a merge", hint=hint)


def _method_in(module: ModuleType) -> Method:
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Method) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise MergeError(f"{module.__name__} must define exactly one Method, not {len(found)}")
    return found[0]()
