"""What every merging command does once it has a recipe: plan, show, run, report."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import execute
from ..card import card_path
from ..checkpoints.address import OutputPath, settled
from ..checkpoints.derived import whole
from ..engine import RunSettings
from ..errors import UsageError
from ..estimate.view import spent
from ..ledger import summary
from ..plan import Plan, make_plan, may_state_architecture
from ..plan_view import plan_as_json, render_plan
from ..progress import progress_bar
from ..provenance import data_use, described
from ..recipe import Recipe
from ..streaming.backends import check_gpu_memory
from ..streaming.lost_updates import check_updates
from .flags import MergeFlags
from .missing_statistics import completed
from .show import from_here, say, say_json, warn

DEFAULT_BATCH = 256
LONG_SECONDS = 10.0  # of a merge, from which on it matters what they were spent on
More = Callable[[OutputPath], dict[str, Any]]


def perform(recipe: Recipe, flags: MergeFlags, plan: Plan | None = None, more: More | None = None) -> None:
    """Plan a recipe and, unless this is a dry run, run it, evaluate and report.

    Args:
        recipe: The recipe.
        flags: The common flags.
        plan: Its plan, where there is one already.
        more: Called with the path of what was written; gives further sections of the JSON output and the report.

    Raises:
        MergeError: When anything fails.
    """
    plan = plan or make_plan(recipe)
    try:
        settings = _settings(flags)
        if flags.dry_run and plan.is_pending:
            from ..completion.checks import announced

            plan.notes.extend(announced(recipe, plan.sources))
        if flags.dry_run:  # shown even when the output could not be written, which is said next
            show_plan(plan, settings.run, flags)
        execute.check_output(plan, settings)
        _check_afterwards(plan, flags)
        if flags.dry_run:
            return
        if plan.is_pending:
            plan.close()
            plan = make_plan(completed(recipe, flags))
        _run(plan, settings, flags, more)
    finally:
        plan.close()


def show_plan(plan: Plan, settings: RunSettings, flags: MergeFlags) -> None:
    """Print a plan."""
    if flags.json_:
        say_json(plan_as_json(plan, settings))
    else:
        say(render_plan(plan, settings), flags)


def check_before(recipe: Recipe, flags: MergeFlags) -> None:
    """Check everything about a merge that can be known before any work.

    Raises:
        MergeError: Whatever `perform` would say before it reads weights.
    """
    plan = make_plan(recipe)
    try:
        if not flags.dry_run:
            execute.check_output(plan, _settings(flags))
        _check_afterwards(plan, flags)
    finally:
        plan.close()


def _check_afterwards(plan: Plan, flags: MergeFlags) -> None:
    """Refuse, before the merge, what would fail in it or after it: memory of no GPU, a report folder, a benchmark."""
    recipe = plan.recipe
    check_gpu_memory(plan, run_settings(flags))
    if flags.count_lost_updates:
        check_updates(plan.rows)
    if plan.is_pending:
        from ..completion import checks

        checks.check_before(recipe)
    if recipe.report is not None:
        from ..reports import check_directory

        out = settled(recipe.output.path or Path(), recipe.folder)
        if recipe.report.absolute() in {out.absolute(), card_path(out).absolute()}:
            raise UsageError("the report and the output are the same path", where=str(recipe.report))
        check_directory(recipe.report)
    if recipe.evaluate:
        from ..evaluation.foreseen import check_benchmarks

        is_stated = flags.architecture is not None or may_state_architecture(plan)
        check_benchmarks(recipe.evaluate, str(recipe.output.path), is_stated=is_stated)
    elif (flags.architecture or flags.batch_size) and not plan.is_pending:
        flag = "--model" if flags.architecture else "--batch-size"
        raise UsageError(f"{flag} is for evaluating, and nothing is evaluated", hint="give --report-benchmark SPEC")


def run_settings(flags: MergeFlags) -> RunSettings:
    """Return how the flags ask a plan to be run."""
    return RunSettings(
        device=flags.device,
        threads=flags.threads,
        allow_nonfinite=flags.allow_nonfinite,
        workers=flags.workers,
        engine="ray" if flags.engine == "ray" else "local",
        address=flags.address,
        gpu_memory=flags.gpu_bytes,
        count_lost_updates=flags.count_lost_updates,
    )


def _settings(flags: MergeFlags) -> execute.WriteSettings:
    run = run_settings(flags)
    return execute.WriteSettings(flags.force, flags.resume, not flags.no_fsync, flags.sha256, run, flags.dry_run)


def _run(plan: Plan, settings: execute.WriteSettings, flags: MergeFlags, more: More | None) -> None:
    # numpy's BLAS would start a thread per core that no streaming method uses, and pay for it at start-up.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with progress_bar(plan.bytes_read, sum(plan.counts.values()), "merging", quiet=flags.quiet) as advance:
        written = execute.write(plan, replace(settings, run=replace(settings.run, advance=advance)))
    for warning in written.warnings:
        warn(warning, flags)
    found = execute.as_json(plan, written)
    say("\n".join([*_summary(plan, written), *(summary(found["statistics"]) if "statistics" in found else ())]), flags)
    evaluation, sections = None, {}
    try:
        sections = more(written.out) if more else {}
        evaluation = _evaluate(plan, written, flags)
    finally:  # the output stands, whatever became of its evaluation
        if plan.recipe.report is not None:
            _report(plan, found, evaluation, sections, flags)
        if flags.json_:
            say_json(found | ({"evaluation": evaluation.as_json()} if evaluation else {}) | sections)


def _summary(plan: Plan, written: execute.Written) -> list[str]:
    counts = ", ".join(f"{number} {action}" for action, number in sorted(plan.counts.items(), reverse=True))
    lines = [f"note: {note}" for note in written.notes]
    if plan.skips:
        lines += [f"note: {len(plan.skips)} input tensors are not in the output; --dry-run lists them"]
    own = [name for name in written.copied if name in plan.beside.files]
    copied = [name for name in written.copied if name not in own]
    lines += [f"copied from {whole(plan.sources[plan.reference]).location}: {', '.join(copied)}"] if copied else []
    lines += [f"made for the output: {', '.join(own)}"] if own else []
    speed = (plan.bytes_stored + plan.bytes_written) / max(written.seconds, 1e-9) / 1e9
    lines += [f"wrote {from_here(written.out)} ({counts}) in {written.seconds:.1f} s, {speed:.2f} GB/s"]
    if written.outcome.totals is not None and written.seconds >= LONG_SECONDS:
        lines.append(spent(written.outcome.totals))
    return lines


def _evaluate(plan: Plan, written: execute.Written, flags: MergeFlags) -> Any:
    if not plan.recipe.evaluate:
        return None
    from ..evaluation import evaluate, render_table

    evaluation = evaluate(
        [str(written.out)],
        list(plan.recipe.evaluate),
        model=flags.architecture,
        device=flags.device,
        batch_size=flags.batch_size or DEFAULT_BATCH,
        threads=flags.threads,
        spreading=flags.spreading,
        quiet=flags.quiet or flags.json_,
    )
    say(render_table(evaluation), flags)
    return evaluation


def _report(plan: Plan, found: dict[str, Any], evaluation: Any, sections: dict[str, Any], flags: MergeFlags) -> None:
    from ..reports.layers import measure_layers
    from ..reports.merging import report_merge

    directory = plan.recipe.report
    assert directory is not None  # noqa: S101 - the caller asked
    recipe = described(plan, [source.location for source in plan.sources])
    with progress_bar(plan.bytes_read, plan.counts["merge"], "measuring layers", quiet=flags.quiet) as advance:
        sections = measure_layers(plan, found["out"], advance) | sections
    rows = evaluation.as_json() if evaluation else None
    paths = report_merge(found, recipe, rows, directory, sections, data_use(plan))
    say(f"report: {', '.join(str(path) for path in paths)}", flags)
