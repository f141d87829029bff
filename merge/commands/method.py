"""One command per method, made from the method's declaration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError, suggest
from ..method import Method
from ..options import Declaration
from ..recipe import Merge, Model, Recipe
from ..unknown_option import OWN_PANEL
from .alignment_flags import ALIGNMENT, take_alignment
from .block_flags import block_parameter, with_block_weights
from .candidates import words
from .flags import COMMON, parse_policy, signature, take_common
from .hidden_flags import without_refused
from .statistics_flags import running_flags, statistics_flags, take_calibration, take_statistics
from .strategy_flags import UNIFORM, strategy_parameters, take_strategy
from .task_vector_flags import listed_models, task_vector_parameters

Command = Callable[..., None]
_PANEL = OWN_PANEL
_ABOUT_BASE = {
    "task_vectors": "needed",
    "base_and_weights": "needed",
    "either": "with it, the method works on task vectors",
    "weights": "decides types and what is copied",
}


def method_command(method: Method) -> Command:
    """Return the command function of a method, with a signature that Typer reads."""

    def command(**values: Any) -> None:
        from .aligning import perform_alignment
        from .merging import perform
        from .strategy import perform_strategy
        from .sweep import perform_sweep

        flags = take_common(values)
        sweep, benchmarks = values.pop("sweep"), tuple(values.pop("report_benchmark") or ())
        chosen = take_strategy(values, method.strategies) if method.strategies else None
        alignment = take_alignment(values, len(values["models"])) if method.aligns else None
        blocks = values.pop("block_weights")
        if blocks is not None and chosen is not None and chosen.strategy != UNIFORM:
            raise UsageError("--block-weights gives the weights, --strategy finds them: give one of them")
        recipe = replace(_recipe(method, flags, values), evaluate=benchmarks)
        recipe = with_block_weights(recipe, method, blocks, sweep)
        if alignment is not None:
            perform_alignment(recipe, method, alignment, flags, sweep)
        elif chosen is not None and chosen.strategy != UNIFORM:
            if sweep is not None:
                raise UsageError("--sweep changes an option, --strategy finds the weights: give one of them")
            perform_strategy(recipe, chosen, flags)
        elif sweep is None:
            perform(recipe, flags)
        else:
            perform_sweep(method, recipe, sweep, flags)

    parameters = _parameters(method) | strategy_parameters(method.strategies) | _MORE | COMMON | running_flags(method)
    parameters = without_refused(method, parameters)
    command.__signature__ = signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {name: annotation for name, (annotation, _) in parameters.items()}
    return command


_MORE: dict[str, tuple[Any, Any]] = {
    "sweep": (
        Annotated[
            str | None,
            typer.Option(
                "--sweep",
                help="One output per value: t=0:1:0.1 or t=0.2,0.5. OUT-t-0.1, …",
                metavar="OPTION=VALUES",
                rich_help_panel=_PANEL,
            ),
        ],
        None,
    ),
    "report_benchmark": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--report-benchmark", help="Evaluate what was written; with --sweep, all of it.", rich_help_panel=_PANEL
            ),
        ],
        None,
    ),
}


def _parameters(method: Method) -> dict[str, tuple[Any, Any]]:
    own = {f"option_{option.name}": own_flag(option) for option in method.options.declarations.values()}
    more = statistics_flags(method) | (ALIGNMENT if method.aligns else {})
    models = task_vector_parameters() if method.learns_together else _models(method)
    return models | own | block_parameter(method, _PANEL) | more


def _models(method: Method) -> dict[str, tuple[Any, Any]]:
    models = Annotated[
        list[str], typer.Argument(help="Checkpoint files, folders, hub ids or URLs.", metavar="MODEL...")
    ]
    needed = _ABOUT_BASE[method.takes]
    base = Annotated[str | None, typer.Option("--base", help=f"The base model; {needed}.", rich_help_panel=_PANEL)]
    return {"models": (models, ...), "base": (base, None)}


def own_flag(option: Declaration, panel: str = _PANEL) -> tuple[Any, Any]:
    """Return the parameter of a declared option."""
    text = f"{option.help} (default: {option.shown_default}" + (f"; {option.range})" if option.range else ")")
    kind = str if option.per_model or option.words else option.type
    names = (f"{option.flag}/--no-{option.flag[2:]}",) if kind is bool else (option.flag,)
    listed = "V1,V2,…" if option.type is str else "W or W1,W2,…" if option.shared else "W1,W2,…"
    metavar = listed if option.per_model else None
    offered = words(*option.choices, *option.words) if option.choices or option.words else None
    more: dict[str, Any] = {"metavar": metavar, "autocompletion": offered}
    info = typer.Option(*names, help=text, rich_help_panel=panel, show_default=False, **more)
    return Annotated[kind | None, info], None


def _recipe(method: Method, flags: Any, values: dict[str, Any]) -> Recipe:
    locations, base = values.pop("models"), values.pop("base")
    locations = listed_models(locations) if method.learns_together else locations
    given = {
        name.removeprefix("option_"): value
        for name, value in values.items()
        if value is not None and name.startswith("option_")
    }
    declared = method.options.declarations
    per_model = {
        name: split_values(declared[name], given.pop(name), len(locations))
        for name in list(given)
        if declared[name].per_model
    }
    learned = take_statistics(method, values, len(locations))
    models = tuple(
        Model(location, {name: numbers[position] for name, numbers in per_model.items()}, **vars(one))
        for position, (location, one) in enumerate(zip(locations, learned, strict=True))
    )
    calibration = take_calibration(method, values, models)
    checked = {name: _checked(declared[name], value) for name, value in given.items()}
    merge = Merge(method.name, models, Model(base) if base else None, checked, calibration=calibration)
    return Recipe(
        merge,
        keep=tuple(flags.keep or ()),
        missing=parse_policy("--missing", flags.missing, "error"),
        mismatch=parse_policy("--mismatch", flags.mismatch, "error"),
        seed=flags.seed or 0,
        output=flags.output(Recipe(merge).output),
        report=Path(flags.report) if flags.report else None,
    )


def split_values(option: Declaration, text: str, models: int) -> list[Any]:
    """Turn ``0.7,0.3`` into one checked value per model.

    Raises:
        UsageError: There are too many or too few, or one is wrong.
    """
    parts = text.split(",")
    if option.shared and len(parts) == 1:
        parts *= models
    if len(parts) != models:
        raise UsageError(f"{option.flag} has {len(parts)} value(s) for {models} models", hint="one per model, in order")
    return [_number(option, part) for part in parts]


def _checked(option: Declaration, value: Any) -> Any:
    """Return one value of a flag, checked; a flag that also takes words comes as text."""
    if option.words and option.type is not str and value not in option.words:
        return _number(option, value)
    return option.check(value, option.flag)


def _number(option: Declaration, text: str) -> Any:
    if option.type is str:
        return option.check(text, option.flag)
    try:
        value = float(text)
    except ValueError:
        wanted = " or ".join(("a number", *option.words))
        raise UsageError(f"'{text}' in {option.flag} is not {wanted}", hint=suggest(text, option.words)) from None
    return option.check(value, option.flag)
