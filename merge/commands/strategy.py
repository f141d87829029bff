"""``--strategy greedy|learned|coefficients``: weights found with held-out data, then an ordinary, recorded merge."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints.address import OutputPath, nearby
from ..errors import UsageError
from ..recipe import Recipe, parse_size
from .alone import done_here
from .flags import MergeFlags
from .missing_statistics import completed
from .show import say, warn
from .strategy_flags import StrategyFlags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..evaluation.task import Benchmark
    from ..search.objective import Objective
    from ..search.resetting import Resetting

_OF_WEIGHTS = {"weight", "normalize"}  # options by which a method weighs its models


def perform_strategy(recipe: Recipe, chosen: StrategyFlags, flags: MergeFlags) -> None:
    """Find the weights, write the merge, and report both.

    Raises:
        MergeError: When anything fails.
    """
    from ..evaluation.specification import read_benchmarks
    from .merging import check_before, perform
    from .soup_reset import soup_resetting, write_soup

    _check_options(recipe, chosen)
    benchmarks = read_benchmarks(chosen.benchmark or ())
    writing = flags if recipe.evaluate else replace(flags, architecture=None, batch_size=None)
    check_before(recipe, writing)
    reset = soup_resetting(recipe, chosen, flags)
    if flags.dry_run:
        perform(recipe, writing)
        _say_cost(recipe, chosen, flags)
        return
    recipe = completed(recipe, flags)
    if chosen.strategy != "coefficients":
        done_here(f"the weights of --strategy {chosen.strategy} are found", flags)
    with _objective(recipe, chosen, flags, benchmarks) as objective:
        shared = _shares_data(recipe, objective)  # opens the report's data, so what is wrong with them is said now
        found, section = _find(recipe, chosen, flags, objective, reset)
        section["same_data_as_report"] = shared
        after = _after(objective, chosen.strategy, section, flags)
        if reset is None or chosen.reset_data is None:
            perform(found, writing, more=after)
        else:
            write_soup(found, chosen.reset_data, reset, flags, after)


def _check_options(recipe: Recipe, chosen: StrategyFlags) -> None:
    if chosen.strategy == "coefficients":
        from ..search.coefficients import check_weights

        check_weights(recipe)
    elif any(model.options for model in recipe.merge.models) or _OF_WEIGHTS & recipe.merge.options.keys():
        raise UsageError(f"--strategy {chosen.strategy} finds the weights itself", hint="leave --weights out")


def _find(
    recipe: Recipe, chosen: StrategyFlags, flags: MergeFlags, objective: Objective, reset: Resetting | None
) -> tuple[Recipe, dict[str, Any]]:
    def note(line: str) -> None:
        say(f"note: {line}", flags)

    if chosen.strategy == "greedy":
        from ..search.select import GreedyChoice, greedy_soup

        out = nearby(recipe.output.path or Path())
        scores = chosen.scores or out.with_name(f"{out.name}.scores.jsonl")
        choice = GreedyChoice("gt" if chosen.accept == "gt" else "ge", chosen.minimum_gain or 0.0, scores, reset)
        return greedy_soup(recipe, objective, choice, note)
    if chosen.strategy == "coefficients":
        from ..evaluation.inference import threads_of_each
        from ..search.coefficients import search_coefficients

        among = replace(flags.spreading, threads=threads_of_each(flags.threads, flags.engine))
        return search_coefficients(recipe, objective, note, among, flags.device)
    from ..search.learn import learned_soup
    from ..search.learned import LearnedChoice
    from .merging import DEFAULT_BATCH

    defaults = LearnedChoice()
    learned = LearnedChoice(
        chosen.by_tensor,
        chosen.epochs or defaults.epochs,
        chosen.learning_rate or defaults.learning_rate,
        flags.batch_size or DEFAULT_BATCH,
        parse_size(chosen.memory, where="--memory") if chosen.memory else defaults.memory,
        recipe.seed,
    )
    return learned_soup(recipe, objective, learned, note)


@contextmanager
def _objective(
    recipe: Recipe, chosen: StrategyFlags, flags: MergeFlags, benchmarks: list[Benchmark]
) -> Iterator[Objective]:
    """Load the held-out data; yields it with a progress bar on whose items every evaluation advances."""
    from ..evaluation.assess import Progress
    from ..evaluation.device import choose_device
    from ..evaluation.task import Settings
    from ..progress import items_bar
    from ..search.objective import Objective
    from .merging import DEFAULT_BATCH

    progress = Progress()
    settings = Settings(
        flags.architecture,
        choose_device(flags.device_here),
        flags.batch_size or DEFAULT_BATCH,
        recipe.seed,
        advance=progress,
    )
    objective = Objective.prepare(benchmarks, settings, chosen.metric)
    with items_bar(
        objective.n * _runs(recipe, chosen), chosen.strategy, quiet=flags.quiet or flags.json_
    ) as progress.advance:
        yield objective


def _runs(recipe: Recipe, chosen: StrategyFlags) -> int:
    """Return about how often the held-out data are gone through."""
    if chosen.strategy == "coefficients":
        from ..search.coefficients import POINTS

        return POINTS + 1
    return 2 * len(recipe.merge.models) if chosen.strategy == "greedy" else (chosen.epochs or 5) + 2


def _after(
    objective: Objective, strategy: str, section: dict[str, Any], flags: MergeFlags
) -> Callable[[OutputPath], dict[str, Any]]:
    """Return what scores the written file on the held-out data: rounding may have moved it from its candidate."""

    def score(out: OutputPath) -> dict[str, Any]:
        found = objective.score_written(out)
        section["written"] = found.as_json()
        say(f"{strategy}: {found.metric} {found.value:.4f} on {objective.name}, which it was selected on", flags)
        if section["same_data_as_report"]:
            warn("the report's data are those that the weights were chosen on: its numbers flatter it", flags)
        return {strategy: section}

    return score


def _shares_data(recipe: Recipe, objective: Objective) -> bool:
    from ..evaluation.specification import read_benchmarks
    from ..search.overlap import shared_items

    if not recipe.evaluate:
        return False
    return bool(shared_items(objective, read_benchmarks(recipe.evaluate)))


def _say_cost(recipe: Recipe, chosen: StrategyFlags, flags: MergeFlags) -> None:
    count = len(recipe.merge.models)
    if chosen.strategy == "greedy":
        say(f"greedy: up to {2 * count - 1} evaluations; every model is read twice, members once more", flags)
        if chosen.reset_data is not None:
            say(f"greedy: BatchNorm statistics are measured on {chosen.reset_data} before each of them", flags)
    elif chosen.strategy == "coefficients":
        runs = _runs(recipe, chosen)
        say(f"coefficients: {runs} evaluations, for all but the last of which every model is read once", flags)
    else:
        say(f"learned: {chosen.epochs or 5} epochs; the cost in reads follows from the number of items", flags)
