"""What ``merge bn-reset`` and ``merge repair`` do once their flags are read: check, measure, write, say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import execute
from ..after.declared import ResetOptions
from ..errors import UsageError
from ..plan import Plan, make_copy_plan
from ..plan_view import plan_as_json, render_plan
from ..planning.adjustment import COMMANDS
from ..recipe import Merge, Output, Recipe
from .flags import COMMON, MergeFlags, signature, take_common
from .method import own_flag
from .show import say, say_json, warn

if TYPE_CHECKING:
    from ..after.document import MeasuredDocument
    from ..calibration.data import CalibrationData
    from ..calibration.facts import Facts
    from ..calibration.storing import Store
    from ..evaluation.candidate import Candidate
    from ..evaluation.task import Settings

    Measure = Callable[[Candidate, CalibrationData, ResetOptions, Settings, Store], Facts]

DEFAULT_BATCH = 128
UNUSED = ("keep", "missing", "mismatch", "dtype")  # what is not adjusted stays bit for bit
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
    """

    command: str
    model: str
    data: str | None
    statistics: Path | None
    options: ResetOptions
    flags: MergeFlags
    passes: int = 1

    @property
    def recipe(self) -> Recipe:
        """The output and the report."""
        return Recipe(Merge(self.command, ()), output=self.flags.output(Output()), report=self.flags.report)


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
    if statistics is not None and options:
        flag = declared[next(iter(options))].flag
        raise UsageError(f"{flag} is for measuring on data, and a file is given", hint="leave it out")
    flags = take_common(dict.fromkeys(UNUSED) | values)
    return Request(command, model, data, statistics, ResetOptions(**options), flags, passes)


def declare(function: Callable[..., None], found: dict[str, tuple[Any, Any]]) -> None:
    """Give a command's function a signature that Typer reads."""
    function.__signature__ = signature(found)  # type: ignore[attr-defined]
    function.__annotations__ = {name: annotation for name, (annotation, _) in found.items()}


def adjust(request: Request, measure: Measure, check: Callable[[Plan], None] = lambda plan: None) -> None:
    """Adjust a model by statistics from data or from a file.

    Args:
        request: What was asked for.
        measure: Measures them.
        check: Refuses, by headers alone, a model that they are not for.

    Raises:
        UsageError: Something about the request is wrong; whatever headers tell is said before anything runs.
        MergeError: The model does not run on the data, or cannot be written.
    """
    from ..after.adjusted import make_adjusted_plan
    from .merging import perform

    file = request.statistics
    if file is None:
        _check(request, check)
        if request.flags.dry_run:
            return
        file = _measured(request, measure)
    flags = replace(request.flags, architecture=None, batch_size=None)
    plan = make_adjusted_plan(request.command, request.model, str(file), request.recipe)
    perform(plan.recipe, flags, plan, lambda out: _told(plan, flags))


def _check(request: Request, check: Callable[[Plan], None]) -> None:
    """Check everything that can be known before the model is run; show the plan where that is all that was asked."""
    from ..calibration.data import read_data
    from ..reports import check_directory

    plan = make_copy_plan(request.model, request.recipe)
    try:
        check(plan)
        read_data(request.data or "")
        if request.flags.dry_run:
            plan.notes.append(f"{COMMANDS[request.command]} statistics will be measured on {request.data}")
            say_json(plan_as_json(plan)) if request.flags.json_ else say(render_plan(plan), request.flags)
        execute.check_output(plan, execute.WriteSettings(request.flags.force, request.flags.resume))
        if request.flags.report is not None:
            check_directory(request.flags.report)
    finally:
        plan.close()


def _measured(request: Request, measure: Measure) -> Path:
    """Measure into a file beside the output, unless it is there already; return its path."""
    from ..calibration.data import read_data
    from ..calibration.storing import AlreadyComputedError, Store
    from ..completion.places import statistics_folder
    from ..evaluation.device import choose_device
    from ..evaluation.locate import locate
    from ..evaluation.task import Settings
    from ..progress import items_bar

    flags = request.flags
    path = statistics_folder(request.recipe) / f"{COMMANDS[request.command]}.safetensors"
    store = Store(path, force=flags.force, resume=flags.resume, reuse=True, dtype="float64")
    total, quiet = request.options.samples * request.passes, flags.quiet or flags.json_
    try:
        with store, items_bar(total, request.command, quiet=quiet) as advance:
            batch, seed = flags.batch_size or DEFAULT_BATCH, flags.seed or 0
            settings = Settings(flags.architecture, choose_device(flags.device), batch, seed, advance=advance)
            measure(locate(request.model).load(), read_data(request.data or ""), request.options, settings, store)
    except AlreadyComputedError as error:
        say(f"note: {error.what}: {path}", flags)
    except KeyboardInterrupt:
        if store.is_resumable:
            warn("interrupted; --resume goes on from what was measured", flags)
        raise
    for note in store.notes:
        say(f"note: {note}", flags)
    return path


def _told(plan: Plan, flags: MergeFlags) -> dict[str, MeasuredDocument]:
    """Say what was done, and return it for the JSON output and the report."""
    for remark in plan.recipe.remarks:
        say(remark, flags)
    return {"measured": _document(plan)}


def _document(plan: Plan) -> MeasuredDocument:
    from ..after.wording import layers_of

    adjustment = plan.adjustment
    assert adjustment is not None  # noqa: S101 - it is an adjusted plan
    return {
        "kind": adjustment.facts.kind,
        "file": adjustment.where,
        "layers": dict(layers_of(plan.rows)),
        "about": dict(adjustment.facts.about),
    }
