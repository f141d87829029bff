"""``merge run``: merge by recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError
from ..grammar import read_recipe
from ..recipe import Recipe
from ..registry import canonical
from .flags import COMMON, MergeFlags, parse_policy, signature, take_common

PANEL = "Recipes"


def command(**values: Any) -> None:
    """Merge as a YAML recipe says; flags win over the recipe."""
    from .bundle_recipe import bundle_of_recipe
    from .bundling import perform_bundle
    from .merging import perform
    from .ranges import split_ranges
    from .stages import perform_stages
    from .sweep import perform_ranges

    paths, settings, printing = values.pop("recipes"), values.pop("settings"), values.pop("print_recipe")
    intermediate = values.pop("intermediate_dir")
    flags = take_common(values)
    _check_paths(paths)
    if len(paths) > 1 and flags.out is not None:
        raise UsageError("several recipes cannot share one --out", hint="give output: {path: …} in each")
    if len(paths) > 1 and flags.json_:
        raise UsageError("--json prints one document, so it takes one recipe", hint="run them one by one")
    plain, ranges = split_ranges(settings or ())
    if intermediate is not None:
        if len(paths) > 1 or ranges or printing:
            what = "--intermediate-dir takes one recipe, without ranges and --print-recipe"
            raise UsageError(what, hint="leave it out: documents in between are then streamed")
        perform_stages(paths[0], plain, intermediate, flags)
        return
    if printing:
        if len(paths) > 1 or ranges or flags.json_:
            raise UsageError("--print-recipe prints one recipe, as YAML", hint="leave --json and ranges out")
        flags.refuse_spreading("--print-recipe merges nothing")
        _print(_read(paths[0], plain, flags))
        return
    for path in paths:
        if not ranges and _writes_bundle(found := _read(path, plain, flags)):
            perform_bundle(*bundle_of_recipe(found, flags))
        elif ranges:
            perform_ranges(partial(_read, path, plain, flags), ranges, flags)
        else:
            perform(found, flags)


def _check_paths(paths: Sequence[Path]) -> None:
    """Say how the output is given where, as in mergekit-yaml, it stands behind the recipe."""
    if len(paths) == 2 and paths[0].is_file() and not paths[1].is_file() and paths[1].suffix not in {".yaml", ".yml"}:
        raise UsageError("no such recipe", where=str(paths[1]), hint=f"an output is given as -o {paths[1]}")


def _print(recipe: Recipe) -> None:
    """Print a recipe in our own grammar, once its plan has shown that it can be run."""
    from ..plan import make_plan
    from ..recipe_text import recipe_as_yaml

    if _writes_bundle(recipe):
        what = f"{recipe.merge.method} writes a bundle, whose recipe is in this tool's grammar already"
        raise UsageError(what, where=recipe.merge.where, hint="leave --print-recipe out")
    make_plan(recipe).close()
    print(recipe_as_yaml(recipe), end="")  # noqa: T201


def _writes_bundle(recipe: Recipe) -> bool:
    from ..bundles.rules import rule_names

    return canonical(recipe.merge.method) in rule_names()


def _read(path: Path, settings: Sequence[str], flags: MergeFlags, more: Sequence[str] = ()) -> Recipe:
    return with_flags(read_recipe(path, (*settings, *more)), flags)


def with_flags(recipe: Recipe, flags: MergeFlags) -> Recipe:
    """Return the recipe with the flags on top; an output given by flag counts from the current folder."""
    output = flags.output(recipe.output)
    if flags.out is not None:
        output = replace(output, path=flags.out.absolute())
    return replace(
        recipe,
        keep=recipe.keep + tuple(flags.keep or ()),
        missing=parse_policy("--missing", flags.missing, recipe.missing),
        mismatch=parse_policy("--mismatch", flags.mismatch, recipe.mismatch),
        seed=recipe.seed if flags.seed is None else flags.seed,
        output=output,
        report=flags.report or recipe.report,
    )


_RECIPES = Annotated[list[Path], typer.Argument(help="YAML recipes, run in turn.", metavar="RECIPE...")]
_SETTINGS = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Override a key: options.density=0.2; 0:1:0.1 gives one output each.", metavar="KEY=VALUE"
    ),
]
_PRINT = Annotated[
    bool,
    typer.Option("--print-recipe", help="Print a recipe, mergekit's too, in this tool's grammar; merge nothing."),
]
_INTERMEDIATE = Annotated[
    Path | None,
    typer.Option(
        "-I",
        "--intermediate-dir",
        help="Write each named document of a file there, and read it from there. (default: streamed)",
        metavar="DIR",
    ),
]
_OWN: dict[str, tuple[Any, Any]] = {
    "recipes": (_RECIPES, ...),
    "settings": (_SETTINGS, None),
    "print_recipe": (_PRINT, False),
    "intermediate_dir": (_INTERMEDIATE, None),
}
_PARAMETERS = _OWN | COMMON
command.__signature__ = signature(_PARAMETERS)  # type: ignore[attr-defined]
command.__annotations__ = {name: annotation for name, (annotation, _) in _PARAMETERS.items()}
