"""The flags of methods that learn from data: statistics files, or data and how to compute them from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from ..errors import UsageError
from ..method import Method
from ..recipe import Model

_PANEL = "Statistics"
_RUN = "Running"
_PREFIX = "calibration_"
_EACH = "once for all models, or once for each in their order."


@dataclass(frozen=True)
class Learned:
    """The statistics of one model, or the data to compute them from."""

    statistics: dict[str, str] = field(default_factory=dict)
    data: str | None = None


def statistics_flags(method: Method) -> dict[str, tuple[Any, Any]]:
    """Return the parameters of a method's command that say where its statistics come from."""
    from .method import own_flag

    own = {f"{_PREFIX}{option.name}": own_flag(option, _PANEL) for option in method.calibration.declarations.values()}
    if not method.statistics:
        return own
    file = "What an earlier run found of both models together." if method.widens else f"A statistics file; {_EACH}"
    files = {"statistics": _files(f"--{method.statistics}", file, hidden=method.sequential)}
    what = "Data to compute statistics from: a benchmark's YAML, npz, texts …"
    data = {"data": _together(what) if method.learns_together else _files("--data", f"{what}; {_EACH}")}
    return files | data | own


def running_flags(method: Method) -> dict[str, tuple[Any, Any]]:
    """Return what differs in the common flags where a method runs models itself, to compute what it lacks."""
    if not (method.statistics or method.aligns):
        return {}
    model = "Architecture to run bare checkpoints with, on data or for evaluating: DIR, hf:NAME, timm:NAME, …"
    batch = "Items run at a time. (default: 256 for evaluating, 32 on data)"
    return {
        "architecture": (Annotated[str | None, typer.Option("--model", help=model, rich_help_panel=_RUN)], None),
        "batch_size": (
            Annotated[int | None, typer.Option("--batch-size", help=batch, rich_help_panel=_RUN, min=1)],
            None,
        ),
    }


def _files(name: str, text: str, *, hidden: bool = False) -> tuple[Any, Any]:
    return Annotated[list[str] | None, typer.Option(name, help=text, rich_help_panel=_PANEL, hidden=hidden)], None


def _together(what: str) -> tuple[Any, Any]:
    text = f"{what}; each set is learned from, whichever model it belongs to."
    return Annotated[list[str] | None, typer.Option("--data", help=text, rich_help_panel=_PANEL)], None


def take_statistics(method: Method, values: dict[str, Any], models: int) -> list[Learned]:
    """Remove the flags from a command's arguments and return what each model has.

    Raises:
        UsageError: Another number of them than one, or one for each model; or files and data.
    """
    if method.sequential and values.get("statistics"):
        what = f"{method.name} takes no --{method.statistics}: it gathers its own from --data"
        raise UsageError(what, hint=f"merge {method.merged_by} merges with files")
    if values.get("statistics") and values.get("data"):
        what = f"--{method.statistics} gives the statistics, and --data would compute them"
        raise UsageError(what, hint="give one of them; a recipe can mix both, model by model")
    files = _spread(values.pop("statistics", None), f"--{method.statistics}", models)
    given = values.pop("data", None)
    data = _spread([",".join(given)] if given and method.learns_together else given, "--data", models)
    return [
        Learned({method.statistics: file} if file else {}, None if file else spec)
        for file, spec in zip(files, data, strict=True)
    ]


def _spread(given: Sequence[str] | None, flag: str, models: int) -> list[str | None]:
    if not given:
        return [None] * models
    if len(given) not in (1, models):
        what = f"{flag} is given {len(given)} times for {models} models"
        raise UsageError(what, hint="give it once for all models, or once for each in their order")
    return [*given] if len(given) == models else [*given] * models


def take_calibration(method: Method, values: dict[str, Any], models: Sequence[Model]) -> dict[str, Any]:
    """Remove the options of calibration from a command's arguments and return those that were given, checked.

    Raises:
        UsageError: A value is wrong, or nothing is computed that they could act on.
    """
    names = [name for name in values if name.startswith(_PREFIX)]
    given = {name.removeprefix(_PREFIX): value for name in names if (value := values.pop(name)) is not None}
    declared = method.calibration.declarations
    if given and method.statistics and all(model.statistics for model in models):
        flag = declared[next(iter(given))].flag
        raise UsageError(
            f"{flag} is for computing statistics, and none are computed",
            hint=f"leave it out, or give --data in place of --{method.statistics}",
        )
    return {name: declared[name].check(value, declared[name].flag) for name, value in given.items()}
