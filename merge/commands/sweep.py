"""Sweeps: the same merge once for every value of an option, all of them evaluated side by side.

``--sweep t=0:1:0.1`` on the command of a method, ``--set options.t=0:1:0.1`` on ``merge run``; there, several ranges
give every combination of their values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import product
from pathlib import Path

from .. import execute
from ..errors import UsageError
from ..method import Method
from ..options import check_name
from ..plan import make_plan, may_state_architecture
from ..planning.layout import is_single_file
from ..recipe import Recipe
from .flags import MergeFlags
from .merging import DEFAULT_BATCH, perform
from .missing_statistics import completed
from .ranges import MOST_VALUES, number, read_values
from .show import say, say_report

Values = Sequence[tuple[str, Decimal]]  # option and value, as file names show them


def perform_sweep(method: Method, recipe: Recipe, text: str, flags: MergeFlags) -> None:
    """Write one output per value of ``--sweep``, then evaluate them all on the recipe's benchmarks.

    Raises:
        UsageError: For a sweep that cannot be read, or an output that is in the way; before anything is merged.
    """
    _check_request(recipe, flags, "--sweep")
    name, values = read_sweep(text, method)
    _check_evaluation(recipe)
    recipe = recipe if flags.dry_run else completed(recipe, flags)
    recipes = []
    for value in values:
        merge = replace(recipe.merge, options={**recipe.merge.options, name: number(value)})
        recipes.append(_one_of(replace(recipe, merge=merge), [(name.replace("_", "-"), value)]))
    _perform_all(recipe, recipes, flags, (name, values))


def perform_ranges(
    read: Callable[[Sequence[str]], Recipe], ranges: Mapping[str, Sequence[Decimal]], flags: MergeFlags
) -> None:
    """Write one output per combination of values of ``--set``, then evaluate them all on the recipe's benchmarks.

    Args:
        read: Gives the recipe with these overrides on top of all others.
        ranges: The values of every override that has several.
        flags: The common flags.

    Raises:
        UsageError: A value is refused, or an output is in the way; before anything is merged.
    """
    count = math.prod(len(values) for values in ranges.values())
    if count > MOST_VALUES:
        raise UsageError(f"--set asks for {count} outputs; {MOST_VALUES} is the most")
    recipes = []
    for combination in product(*ranges.values()):
        recipe = read([f"{path}={value}" for path, value in zip(ranges, combination, strict=True)])
        _check_request(recipe, flags, "--set with a range")
        shown = [(path.removeprefix("options.").replace(".", "-").replace("_", "-")) for path in ranges]
        recipes.append((recipe, _one_of(recipe, list(zip(shown, combination, strict=True)))))
    (path, values), *others = ranges.items()
    swept = None if others else (path.removeprefix("options."), values)
    _perform_all(recipes[0][0], [one for _, one in recipes], flags, swept)


def read_sweep(text: str, method: Method) -> tuple[str, list[Decimal]]:
    """Return the option and its values from ``alpha=0:1:0.1`` (both ends included) or ``alpha=0.2,0.5``.

    Raises:
        UsageError: When the option is unknown, no number, or one per model, or the values cannot be read.
    """
    name, _, listed = text.partition("=")
    name = name.strip().removeprefix("--").replace("-", "_")
    check_name(name, method.options.declarations, method.name, "--sweep")
    declaration = method.options.declarations[name]
    if declaration.type not in {int, float} or (declaration.per_model and not declaration.shared):
        raise UsageError(f"--sweep changes one number, and '{name}' is none")
    values = read_values(listed, text, "--sweep")
    for value in values:
        declaration.check(float(value) if declaration.type is float else int(value), "--sweep")
    return name, values


def _one_of(recipe: Recipe, values: Values) -> Recipe:
    """Return the recipe with an output named after its values; what follows a merge follows all of them together."""
    path = recipe.output.path or Path()
    suffix = path.suffix if is_single_file(path) else ""
    named = "".join(f"-{name}-{value}" for name, value in values)
    output = replace(recipe.output, path=path.with_name(f"{path.name.removesuffix(suffix)}{named}{suffix}"))
    return replace(recipe, output=output, evaluate=(), report=None)


def _check_request(recipe: Recipe, flags: MergeFlags, flag: str) -> None:
    if flags.json_:
        raise UsageError(f"--json prints one document, so it takes no {flag}", hint="run the values one by one")
    if recipe.output.path is None:
        raise UsageError("there is no output path", hint="give -o OUT; every value gets its own name made from it")


def _perform_all(
    whole: Recipe, recipes: Sequence[Recipe], flags: MergeFlags, swept: tuple[str, Sequence[Decimal]] | None
) -> None:
    for one in recipes:
        _check(one, whole.evaluate, flags)
    _check_evaluation(whole)
    for one in recipes:
        perform(one, replace(flags, report=None, architecture=None, batch_size=None))
    if whole.evaluate and not flags.dry_run:
        from ..checkpoints.address import settled
        from ..evaluation import evaluate, render_table
        from .swept import members_of, sweep_section

        outputs = [str(settled(one.output.path or Path(), one.folder)) for one in recipes]
        members = members_of(whole, outputs[0])
        found = evaluate(
            [*outputs, *members.everywhere],
            list(whole.evaluate),
            report=whole.report,
            experts=members.experts,
            sections=sweep_section(*swept, outputs, members) if swept else None,
            model=flags.architecture,
            device=flags.device,
            batch_size=flags.batch_size or DEFAULT_BATCH,
            threads=flags.threads,
            spreading=flags.spreading,
        )
        say(render_table(found), flags)
        say_report(whole.report, flags)


def _check(recipe: Recipe, benchmarks: Sequence[str], flags: MergeFlags) -> None:
    plan = make_plan(recipe)
    try:
        if benchmarks:
            from ..evaluation.foreseen import check_benchmarks

            is_stated = flags.architecture is not None or may_state_architecture(plan)
            check_benchmarks(benchmarks, str(recipe.output.path), is_stated=is_stated)
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
            hint = "give --report-benchmark, or evaluate: in the recipe"
            raise UsageError("the report of a sweep is that of its evaluation", hint=hint)
