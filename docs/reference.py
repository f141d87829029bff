"""Renders the generated parts of the docs from the declarations.

`cog -r` writes what stands inside other pages and `cog --check` guards it; `python -m docs.reference` writes the page
of every method, which a test guards.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

from merge.bundles.rule import Rule
from merge.bundles.rules import rule_names
from merge.cli import command_names
from merge.commands.flags import COMMON
from merge.commands.methods import HEADINGS, facts
from merge.method import Method
from merge.options import Declaration
from merge.registry import built_in_names, find_declared

FOLDER = Path(__file__).resolve().parent
HEADS = ("| recipe key | flag | meaning | default | range |", "|---|---|---|---|---|")
SHARED = "`*`: one value for all models (under `options:`) or one per model (beside `model:`)."


def method_list() -> str:
    """Return one line per method."""
    listed = map(find_declared, (*built_in_names(), *rule_names()))
    rows = [f"| [`{one.name}`](docs/methods/{one.name}.md) | {one.summary} |" for one in listed]
    return "\n".join(["", "| method | |", "|---|---|", *rows, "", ""])


def method_table() -> str:
    """Return the table that `merge methods` prints, with links."""
    heads = " | ".join(HEADINGS)
    rows = []
    for name in (*built_in_names(), *rule_names()):
        _, models, base, data, paper, summary = facts(find_declared(name))
        link = f"[{paper}](https://arxiv.org/abs/{paper.removeprefix('arXiv:')})" if paper != "-" else paper
        rows.append(f"| [`{name}`](methods/{name}.md) | {models} | {base} | {data} | {link} | {summary} |")
    return "\n".join(["", f"| {heads} |", "|---" * len(HEADINGS) + "|", *rows, "", ""])


def method_page(name: str) -> str:
    """Return the page of a method: its source note, its options and a recipe."""
    method = find_declared(name)
    recipe = (FOLDER.parent / "recipes" / f"{name}.yaml").read_text("utf-8").strip()
    if isinstance(method, Rule):
        return _rule_page(method, recipe)
    names = {None: "MODEL…"} | {count: " ".join(["MODEL"] * count) for count in (1, 2, 3)}
    models = names[method.maximum_models if method.maximum_models == method.minimum_models else None]
    base = {"task_vectors": " --base BASE", "base_and_weights": " --base BASE", "either": " [--base BASE]"}
    lines = [*_head(method), "## On the command line", ""]
    data = " --data SPEC" if method.statistics else ""
    given = f"{models}{base.get(method.takes, '')}" if not method.learns_together else "BASE --task-vectors MODEL…"
    lines += [f"    merge {name} {given}{data} -o OUT", ""]
    lines += [*_option_table(method), ""] if method.options.declarations else ["It has no options of its own.", ""]
    lines += _learned(method)
    if any(option.shared for option in method.options.declarations.values()):
        lines += [SHARED, ""]
    lines += ["The flags of every merging command are listed in [Commands](../commands.md).", ""]
    return "\n".join([*lines, "## As a recipe", "", "```yaml", recipe, "```", ""])


def _head(method: Method | Rule) -> list[str]:
    """Return the title, the source note, and when to use it."""
    note = [part for part in method.note.split("\n\n") if part not in method.advice]
    advice = [re.sub(r"docs/([\w-]+)\.md", r"[\1](../\1.md)", paragraph) for paragraph in method.advice]
    lines = [f"# {method.name}", "<!-- generated: python -m docs.reference -->", *note]
    return "\n\n".join([*lines, "## When to use it", *advice, ""]).splitlines()


def _rule_page(rule: Rule, recipe: str) -> str:
    """Return the page of a rule that joins models at inference."""
    models = " ".join(role.upper() for role in rule.roles) or "MODEL…"
    lines = [*_head(rule), "## On the command line", "", f"    merge {rule.name} {models} -o BUNDLE", ""]
    lines += [*_option_table(rule), "", SHARED, ""]
    lines += ["It writes a bundle: see [Merging at inference](../bundles.md).", ""]
    return "\n".join([*lines, "## As a recipe", "", "```yaml", recipe, "```", ""])


def _learned(method: Method) -> list[str]:
    """Return how the method's statistics, or the orders of units, are found."""
    rows = [_option_row(option) for option in method.calibration.declarations.values()]
    if method.aligns:
        return ["How the orders of units are found:", "", *HEADS, *rows, "", "See [Alignment](../alignment.md).", ""]
    if not method.statistics:
        return []
    kept = "that an earlier run left" if method.learns_together or method.widens else "from `merge calibrate`"
    files = "" if method.sequential else f"`--{method.statistics} FILE` gives files {kept}; "
    often = "given for each set of data" if method.learns_together else "once for all models or once for each"
    lines = [f"What it learns from data: {files}`--data SPEC` computes it, {often}:", ""]
    return [*lines, *HEADS, *rows, "", "See [Merging with data](../merging-with-data.md).", ""]


def _option_table(method: Method | Rule) -> list[str]:
    return [*HEADS, *map(_option_row, method.options.declarations.values())]


def _option_row(option: Declaration) -> str:
    mark = "`*`" if option.shared else ""
    cells = (f"`{option.name}`{mark}", f"`{option.flag}`", option.help, option.shown_default, option.range)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def write_pages() -> None:
    """Write the page of every method, and remove pages of methods that are gone."""
    pages = FOLDER / "methods"
    pages.mkdir(exist_ok=True)
    for page in pages.glob("*.md"):
        page.unlink()
    for name in (*built_in_names(), *rule_names()):
        (pages / f"{name}.md").write_text(method_page(name), "utf-8")


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
        module = __import__(f"merge.commands.{name.replace('-', '_')}", fromlist=["command"])
        rows.append(f"| `merge {name}` | {(module.command.__doc__ or '').strip().splitlines()[0]} |")
    return "\n".join(["", "| command | |", "|---|---|", *rows, "", ""])


if __name__ == "__main__":
    write_pages()
