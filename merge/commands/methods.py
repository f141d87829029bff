"""``merge methods``: what there is to choose from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..bundles.rule import Rule
from ..bundles.rules import find_rule, rule_names
from ..method import Method
from ..options import Declaration
from ..registry import find_declared, usable_methods
from .candidates import declared_names
from .own_flags import Json
from .show import Speech, render_columns, say_json, warn

PANEL = "Recipes"


def command(
    name: Annotated[
        str | None,
        typer.Argument(help="Show one method's options.", metavar="[NAME]", autocompletion=declared_names),
    ] = None,
    json_: Json = False,
) -> None:
    """List the methods, or one method's options."""
    methods, problems = ([], []) if name else usable_methods()
    found: list[Method | Rule] = [find_declared(name)] if name else [*methods, *map(find_rule, rule_names())]
    for problem in problems:
        warn(problem, Speech(json_))
    if json_:
        say_json([describe_method(one) if isinstance(one, Method) else describe_rule(one) for one in found])
    elif name:
        typer.echo(_describe(found[0]))
    else:
        typer.echo(render_columns([HEADINGS, *(facts(one) for one in found)]))


HEADINGS = ("method", "models", "base", "data", "paper", "what it is")
_BASE = {"task_vectors": "needed", "base_and_weights": "needed", "either": "optional", "weights": "-"}


def facts(method: Method | Rule) -> tuple[str, ...]:
    """Return the line of a method, or of a rule, in the table of methods; see `HEADINGS`."""
    least, most = method.minimum_models, method.maximum_models
    count = str(least) if least == most else f"{least}-{most}" if most else f"{least}+"
    base = _BASE[method.takes] if isinstance(method, Method) else "-"
    return method.name, count, base, method.data_use, method.paper or "-", method.summary


def describe_method(method: Method) -> dict[str, Any]:
    """Return a method's declaration as plain data."""
    return {
        "name": method.name,
        "summary": method.summary,
        "takes": method.takes,
        "base": _BASE[method.takes],
        "data_use": method.data_use,
        "paper": method.paper,
        "seeded": method.seeded,
        "models": [method.minimum_models, method.maximum_models],
        "options": [_describe_option(option) for option in method.options.declarations.values()],
        "statistics": method.statistics,
        "calibration": [_describe_option(option) for option in method.calibration.declarations.values()],
    }


def describe_rule(rule: Rule) -> dict[str, Any]:
    """Return a rule's declaration as plain data."""
    return {
        "name": rule.name,
        "summary": rule.summary,
        "writes": "bundle",
        "data_use": rule.data_use,
        "paper": rule.paper,
        "seeded": rule.seeded,
        "models": [rule.minimum_models, rule.maximum_models],
        "roles": list(rule.roles),
        "options": [_describe_option(option) for option in rule.options.declarations.values()],
    }


def _describe_option(option: Declaration) -> dict[str, Any]:
    return {
        "name": option.name,
        "flag": option.flag,
        "type": option.type.__name__,
        "default": option.shown_default,
        "range": option.range,
        "per_model": option.per_model,
        "shared": option.shared,
        "help": option.help,
    }


def _describe(method: Method | Rule) -> str:
    """Return the source note (paper and formula, when to use it) of a method or rule, and its options."""
    own = method.options.declarations.values()
    lines = [method.note, "", "Options:" if own else "It has no options of its own.", *map(_option_line, own)]
    if isinstance(method, Method) and method.calibration.declarations:
        kind = "finding the orders of units" if method.aligns else "computing statistics from data"
        lines += [f"Options of {kind}:", *map(_option_line, method.calibration.declarations.values())]
    return "\n".join(lines)


def _option_line(option: Declaration) -> str:
    facts = ", ".join(part for part in (f"default {option.shown_default}", option.range) if part)
    return f"  {option.flag:18s} {option.help} ({facts})"
