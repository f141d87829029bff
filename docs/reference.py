"""Renders the generated parts of the docs from the declarations; `cog -r` writes them, `cog --check` guards them."""

from __future__ import annotations

import inspect
from typing import Any, get_args

from merge.cli import command_names
from merge.commands.flags import COMMON
from merge.registry import find_method, method_names


def method_list() -> str:
    """Return one line per method."""
    rows = [f"| [`{name}`](docs/methods.md#{name}) | {find_method(name).summary} |" for name in method_names()]
    return "\n".join(["", "| method | |", "|---|---|", *rows, "", ""])


def method_sections() -> str:
    """Return a section per method: its source note and a table of its options."""
    return "\n".join(_method_section(name) for name in method_names())


def _method_section(name: str) -> str:
    method = find_method(name)
    note = inspect.getdoc(inspect.getmodule(type(method))) or ""
    rows = [
        f"| `{option.name}` | `{option.flag}` | {option.help} | {option.shown_default} | {option.range} |"
        for option in method.options.declarations.values()
    ]
    table = ["| recipe key | flag | meaning | default | range |", "|---|---|---|---|---|", *rows]
    return "\n".join(["", f"## {name}", "", note, "", *table, ""])


def common_flags() -> str:
    """Return the table of the flags that every merging command has."""
    rows = [f"| {_names(annotation)} | {get_args(annotation)[1].help} |" for annotation, _ in COMMON.values()]
    return "\n".join(["", "| flag | meaning |", "|---|---|", *rows, "", ""])


def _names(annotation: Any) -> str:
    info = get_args(annotation)[1]  # Typer keeps the first name apart from the others
    return ", ".join(f"`{name}`" for name in (info.default, *info.param_decls) if isinstance(name, str))


def command_list() -> str:
    """Return one line per command that is not a method."""
    rows = []
    for name in command_names():
        module = __import__(f"merge.commands.{name}", fromlist=["command"])
        rows.append(f"| `merge {name}` | {(module.command.__doc__ or '').strip().splitlines()[0]} |")
    return "\n".join(["", "| command | |", "|---|---|", *rows, "", ""])
