"""What ``merge bn-reset`` and ``merge repair`` do once their flags are read: check, measure, write, say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import execute
from ..errors import MergeError
from ..plan import Plan
from ..planning.adjustment import COMMANDS
from .adjusting_request import DEFAULT_BATCH, Request
from .alone import done_here
from .flags import MergeFlags
from .merging import run_settings, show_plan
from .show import say, warn

if TYPE_CHECKING:
    from ..after.declared import ResetOptions
    from ..after.document import MeasuredDocument
    from ..calibration.data import CalibrationData
    from ..calibration.facts import Facts
    from ..calibration.storing import Store
    from ..evaluation.candidate import Candidate
    from ..evaluation.task import Settings
    from .merging import More

    Measure = Callable[[Candidate, CalibrationData, ResetOptions, Settings, Store], Facts]


def adjust(
    request: Request,
    measure: Measure,
    check: Callable[[Plan], None] = lambda plan: None,
    more: More | None = None,
) -> None:
    """Adjust a model by statistics from data or from a file.

    Args:
        request: What was asked for.
        measure: Measures them.
        check: Refuses, by headers alone, a model that they are not for.
        more: Called with the path of what was written; gives further sections of the JSON output and the report.

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
    flags = request.flags if request.evaluate else replace(request.flags, architecture=None, batch_size=None)
    plan = make_adjusted_plan(request.command, request.model, str(file), request.recipe)
    with _types_stay(request.model):
        perform(plan.recipe, flags, plan, lambda out: {**_told(plan, flags), **(more(out) if more else {})})


@contextmanager
def _types_stay(model: str) -> Iterator[None]:
    """Say of numbers that do not fit the checkpoint's type what can be done where the type cannot be chosen."""
    try:
        yield
    except MergeError as error:
        if not error.hint or "--dtype" not in error.hint:
            raise
        hint = f"make it wider first: merge cast {model} --dtype float32 -o WIDER"
        raise type(error)(error.what, where=error.where, hint=hint) from None


def _check(request: Request, check: Callable[[Plan], None]) -> None:
    """Check everything that can be known before the model is run; show the plan where that is all that was asked."""
    from ..after.adjusted import make_untouched_plan
    from ..calibration.data import read_data
    from ..reports import check_directory

    plan = make_untouched_plan(request.model, request.recipe)
    try:
        check(plan)
        read_data(request.data or "")
        if request.flags.dry_run:
            plan.notes.append(f"{COMMANDS[request.command]} statistics will be measured on {request.data}")
            show_plan(plan, run_settings(request.flags), request.flags)
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
    done_here("activations are measured", flags)
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
