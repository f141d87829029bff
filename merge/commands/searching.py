"""What ``merge search`` does: check everything, search, hand on what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import MergeError, UsageError
from ..search.problem import OpenRecipe
from ..search.samplers import Sampler, default_sampler, make_sampler
from .flags import MergeFlags
from .ranges import as_marks
from .search_outcome import evaluate_found, final_recipe, keep_recipe, merge_found, render_trials, reported
from .show import render_columns, say, say_json, warn

if TYPE_CHECKING:
    from ..evaluation.task import Benchmark
    from ..search.objective import Objective
    from ..search.tune import Search
    from .search_request import SearchRequest


def perform_search(request: SearchRequest, flags: MergeFlags) -> None:
    """Search the open options of a recipe.

    Raises:
        UsageError: The request is wrong; said before any model is read.
        MergeError: When anything fails; trials that are done are kept.
    """
    from ..evaluation.specification import read_benchmarks

    opened = OpenRecipe(request.recipe, as_marks(request.settings or ()))
    benchmarks = read_benchmarks(request.benchmark or ())
    name = request.sampler or default_sampler(opened.space)
    sampler, most = make_sampler(name, opened.space, request.search_seed, request.trials)
    if flags.dry_run:  # shown even when the results could not be written, which is said next
        _show_request(flags, opened, name, most, benchmarks)
    _check(request, flags, opened)
    if flags.dry_run:
        return
    objective = _objective(request, flags, benchmarks)
    shared = _shares_data(objective, reported(request, opened.recipe))
    if shared:
        warn("the data of the report are those that the search goes by: its numbers will flatter", flags)
    search = _run(request, flags, opened, objective, (sampler, most))
    from ..search.found import describe_search

    section = describe_search(search, opened.space.names, objective, name) | {"same_data_as_report": shared}
    say(render_trials(section), flags)
    keep_recipe(request, flags, opened, section)
    if flags.out is not None:
        merge_found(request, flags, opened, objective, section)
    else:
        evaluate_found(request, flags, opened, section)


def _check(request: SearchRequest, flags: MergeFlags, opened: OpenRecipe) -> None:
    """Check, before any work, whatever would fail after it."""
    from ..evaluation.specification import read_benchmarks
    from ..reports import check_directory
    from ..search.trials import trials_file
    from .merging import check_before

    example = opened.example()
    if flags.out is not None:
        check_before(final_recipe(request, flags, example), flags)
    read_benchmarks(reported(request, example))
    if flags.report is not None:
        check_directory(flags.report)
    if request.found_in.exists() and (not flags.force or request.found_in.samefile(request.recipe)):
        hint = "name another with --recipe-out" + ("" if flags.force else ", or replace it with --force")
        raise UsageError("the file for the found recipe exists", where=str(request.found_in), hint=hint)
    if not request.found_in.parent.is_dir():
        raise MergeError("the folder for the found recipe is not there", where=str(request.found_in))
    trials_file(request.kept_in).check()


def _show_request(
    flags: MergeFlags, opened: OpenRecipe, sampler: str, trials: int, benchmarks: list[Benchmark]
) -> None:
    marks = {parameter.name: repr(parameter.mark) for parameter in opened.space.parameters}
    names = [benchmark.name for benchmark in benchmarks]
    if flags.json_:
        say_json({"sampler": sampler, "trials": trials, "parameters": marks, "benchmarks": names})
        return
    lines = render_columns([["option", "searched"], *([name, text] for name, text in marks.items())])
    say(f"{lines}\nup to {trials} trials by {sampler} on {', '.join(names)}; nothing was read or tried", flags)


def _objective(request: SearchRequest, flags: MergeFlags, benchmarks: list[Benchmark]) -> Objective:
    from ..evaluation.device import choose_device
    from ..evaluation.task import Settings
    from ..search.objective import Objective

    device = choose_device(flags.device_here)
    settings = Settings(request.architecture, device, request.batch_size, request.search_seed)
    return Objective.prepare(benchmarks, settings, request.metric)


def _shares_data(objective: Objective, reported: tuple[str, ...]) -> bool:
    from ..evaluation.specification import read_benchmarks
    from ..search.overlap import shared_items

    return bool(reported) and bool(shared_items(objective, read_benchmarks(reported)))


def _run(
    request: SearchRequest,
    flags: MergeFlags,
    opened: OpenRecipe,
    objective: Objective,
    sampling: tuple[Sampler, int],
) -> Search:
    from ..progress import items_bar
    from ..search.context import context_of
    from ..search.evaluators import evaluator
    from ..search.trials import TrialBook
    from ..search.tune import Problem, Search

    sampler, most = sampling
    spreading = request.spreading(flags)
    beside = spreading.workers if spreading.engine == "local" else 1
    problem = Problem(opened.space, opened.fill, opened.check(beside))
    book = TrialBook(request.kept_in, context_of(objective, _configuration(opened)))
    with (
        evaluator(objective, spreading, flags.device) as workers,
        items_bar(most, "trials", quiet=flags.quiet or flags.json_) as advance,
    ):
        search = Search(problem, workers, book, advance)
        search.run(sampler, most)
    if search.reused:
        say(f"note: {search.reused} of {len(search.trials)} trials were known from {request.kept_in}", flags)
    failed = [trial for trial in search.trials if trial.failure]
    if failed:
        warn(
            f"{len(failed)} of {len(search.trials)} trials failed; trial {failed[0].number}: {failed[0].failure}", flags
        )
    return search


def _configuration(opened: OpenRecipe) -> str | None:
    """Return a digest of the configuration that the merged models are built with."""
    from ..plan import folder_beside, make_plan
    from ..search.context import configuration_digest

    plan = make_plan(opened.example())
    try:
        return configuration_digest(folder_beside(plan))
    finally:
        plan.close()
