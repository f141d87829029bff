"""What ``merge bn-reset`` and ``merge repair`` are asked for: their flags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..after.declared import ResetOptions
from ..errors import UsageError
from ..recipe import Merge, Output, Recipe
from .flags import COMMON, MergeFlags, signature, take_common
from .method import own_flag

DEFAULT_BATCH = 128
_ROUNDING = ("dtype", "overflow", "rounding", "count_lost_updates")
UNUSED = ("keep", "missing", "mismatch", *_ROUNDING, "gpu_memory")  # what is not adjusted stays bit for bit
_PREFIX, _PANEL = "option_", "Statistics"
_RUNNING = {
    name: (Annotated[kind, typer.Option(flag, help=text, rich_help_panel="Running", min=least)], None)
    for name, flag, kind, text, least in (
        ("seed", "--seed", int | None, "Seed of the draw. (default: 0)", 0),
        ("architecture", "--model", str | None, "Architecture of a bare checkpoint: DIR, hf:NAME, timm:NAME, …", None),
        ("batch_size", "--batch-size", int | None, f"Items at a time. (default: {DEFAULT_BATCH})", 1),
    )
}
_MODEL = Annotated[str, typer.Argument(help="A checkpoint file or folder.", metavar="MODEL")]


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        command: ``bn-reset`` or ``repair``.
        data: The data to measure on.
        statistics: A file of an earlier run in their place.
        passes: How often the data are gone through.
        evaluate: Benchmarks to run on the outcome.
        warnings: What a reader of its report must know.
    """

    command: str
    model: str
    data: str | None
    statistics: Path | None
    options: ResetOptions
    flags: MergeFlags
    passes: int = 1
    evaluate: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def recipe(self) -> Recipe:
        """The output, the report, what is evaluated and what must be known of it."""
        output = self.flags.output(Output())
        merge, report = Merge(self.command, ()), self.flags.report
        return Recipe(merge, output=output, evaluate=self.evaluate, report=report, warnings=self.warnings)


def parameters(more: dict[str, tuple[Any, Any]]) -> dict[str, tuple[Any, Any]]:
    """Return the parameters of a command, with some of its own."""
    data = Annotated[
        str | None,
        typer.Option("--data", help="A benchmark's YAML or name, an npz, a folder of images …", rich_help_panel=_PANEL),
    ]
    file = Annotated[
        Path | None,
        typer.Option(
            "--statistics", help="A file that an earlier run measured, in place of data.", rich_help_panel=_PANEL
        ),
    ]
    own = {_PREFIX + option.name: own_flag(option, _PANEL) for option in ResetOptions.declarations.values()}
    found: dict[str, tuple[Any, Any]] = (
        {"model": (_MODEL, ...)} | more | {"data": (data, None), "statistics": (file, None)}
    )
    return found | own | {name: flag for name, flag in COMMON.items() if name not in UNUSED} | _RUNNING


def take(command: str, values: dict[str, Any], passes: int = 1) -> Request:
    """Remove the arguments that both commands have and return them checked.

    Raises:
        UsageError: One is wrong.
    """
    declared = ResetOptions.declarations
    given = {name: values.pop(_PREFIX + name) for name in declared}
    options: dict[str, Any] = {
        name: declared[name].check(value, declared[name].flag) for name, value in given.items() if value is not None
    }
    model, data, statistics = (values.pop(name) for name in ("model", "data", "statistics"))
    if (data is None) is (statistics is None):
        what = "both --data and --statistics are given" if data else f"{command} measures on data, and none is given"
        raise UsageError(what, hint="give --data SPEC, or --statistics FILE of an earlier run")
    flags = take_common(dict.fromkeys(UNUSED) | values)
    if statistics is not None:
        _refuse_for_data([*(declared[name].flag for name in options), *_given(flags)])
    return Request(command, model, data, statistics, ResetOptions(**options), flags, passes)


def _given(flags: MergeFlags) -> list[str]:
    """Return the common flags that were given and that only measuring heeds."""
    found = {"--model": flags.architecture, "--batch-size": flags.batch_size, "--seed": flags.seed}
    return [name for name, value in found.items() if value is not None]


def _refuse_for_data(given: list[str]) -> None:
    if given:
        what = f"{given[0]} is for measuring on data, and a file of statistics is given"
        raise UsageError(what, hint="leave it out")


def declare(function: Callable[..., None], found: dict[str, tuple[Any, Any]]) -> None:
    """Give a command's function a signature that Typer reads."""
    function.__signature__ = signature(found)  # type: ignore[attr-defined]
    function.__annotations__ = {name: annotation for name, (annotation, _) in found.items()}
