"""``--sweep``: the same merge once for every value of an option, all of them evaluated side by side."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

from .. import execute
from ..errors import UsageError
from ..method import Method
from ..options import check_name
from ..plan import make_plan
from ..planning.layout import is_single_file
from ..recipe import Recipe
from .flags import MergeFlags
from .merging import perform
from .show import say

MOST_VALUES = 1000


def perform_sweep(method: Method, recipe: Recipe, text: str, flags: MergeFlags) -> None:
    """Write one output per value, then evaluate them all on the recipe's benchmarks.

    Raises:
        UsageError: For a sweep that cannot be read, or an output that is in the way; before anything is merged.
    """
    if flags.json_:
        raise UsageError("--json prints one document, so it takes no --sweep", hint="run the values one by one")
    if recipe.output.path is None:
        raise UsageError("there is no output path", hint="give -o OUT; every value gets its own name made from it")
    name, values = read_sweep(text, method)
    recipes = [_with_value(recipe, name, value) for value in values]
    for one in recipes:
        _check(one, flags)
    _check_evaluation(recipe)
    for one in recipes:
        perform(one, replace(flags, report=None))
    if recipe.evaluate and not flags.dry_run:
        from ..evaluation import evaluate, render_table

        outputs = [str(one.output.path) for one in recipes]
        found = evaluate(outputs, list(recipe.evaluate), report=recipe.report, device=flags.device)
        say(render_table(found), flags)


def read_sweep(text: str, method: Method) -> tuple[str, list[Decimal]]:
    """Return the option and its values from ``alpha=0:1:0.1`` (both ends included) or ``alpha=0.2,0.5``.

    Raises:
        UsageError: When the option is unknown, no number, or one per model, or the values cannot be read.
    """
    name, equals, listed = text.partition("=")
    name = name.strip().removeprefix("--").replace("-", "_")
    check_name(name, method.options.declarations, method.name, "--sweep")
    declaration = method.options.declarations[name]
    if declaration.type not in {int, float} or (declaration.per_model and not declaration.shared):
        raise UsageError(f"--sweep changes one number, and '{name}' is none")
    try:
        values = _range(listed) if ":" in listed else [Decimal(part) for part in listed.split(",")]
    except (InvalidOperation, ValueError):
        hint = "write --sweep alpha=0:1:0.1, or --sweep alpha=0.2,0.5"
        raise UsageError(f"'{text}' is no sweep", hint=hint) from None
    if not equals or not 0 < len(values) <= MOST_VALUES or len(set(values)) < len(values):
        raise UsageError(f"'{text}' must give 1 to {MOST_VALUES} different values")
    for value in values:
        declaration.check(float(value) if declaration.type is float else int(value), "--sweep")
    return name, values


def _range(text: str) -> list[Decimal]:
    start, stop, step = (Decimal(part) for part in text.split(":"))
    if step <= 0 or stop < start or (stop - start) / step > MOST_VALUES:
        return []
    return [start + step * number for number in range(int((stop - start) / step) + 1)]


def _with_value(recipe: Recipe, name: str, value: Decimal) -> Recipe:
    number = int(value) if value == int(value) and "." not in str(value) else float(value)
    merge = replace(recipe.merge, options={**recipe.merge.options, name: number})
    path = Path(recipe.output.path or "")
    suffix = path.suffix if is_single_file(path) else ""
    own = path.with_name(f"{path.name.removesuffix(suffix)}-{name.replace('_', '-')}-{value}{suffix}")
    output = replace(recipe.output, path=own)
    return replace(recipe, merge=merge, output=output, evaluate=(), report=None)


def _check(recipe: Recipe, flags: MergeFlags) -> None:
    plan = make_plan(recipe)
    try:
        if not flags.dry_run:
            execute.check_output(plan, execute.WriteSettings(force=flags.force, resume=flags.resume))
    finally:
        plan.close()


def _check_evaluation(recipe: Recipe) -> None:
    """Refuse a benchmark or a report's folder that would fail after all merges."""
    if recipe.evaluate:
        from ..evaluation.specification import read_benchmarks

        read_benchmarks(recipe.evaluate)
    if recipe.report is not None:
        from ..reports import check_directory

        check_directory(recipe.report)
        if not recipe.evaluate:
            raise UsageError("the report of a --sweep is that of its evaluation", hint="give --report-benchmark too")
