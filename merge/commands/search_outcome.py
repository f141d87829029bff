"""What comes of a search: a table, a recipe, the merge itself if that is asked for, an evaluation, a report."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..data_use import joined_use
from ..errors import MergeError
from ..recipe import Recipe
from ..search.problem import OpenRecipe
from .flags import MergeFlags
from .show import render_columns, say, say_json

if TYPE_CHECKING:
    from ..checkpoints.address import OutputPath
    from ..search.objective import Objective
    from .search_request import SearchRequest

SHOWN = 5  # trials in the printed table


def reported(request: SearchRequest, recipe: Recipe) -> tuple[str, ...]:
    """Return the benchmarks that report: those of the flags, else the recipe's own."""
    return tuple(request.report_benchmark or ()) or recipe.evaluate


def final_recipe(request: SearchRequest, flags: MergeFlags, recipe: Recipe) -> Recipe:
    """Return a recipe as it is merged in the end."""
    path = flags.out.absolute() if flags.out is not None else None
    output = replace(recipe.output, path=path)
    return replace(recipe, output=output, evaluate=reported(request, recipe), report=flags.report, data_use="held-out")


def render_trials(section: dict[str, Any]) -> str:
    """Return the best trials as text, and with several benchmarks those on the Pareto front."""
    sign = -1 if section["higher_is_better"] else 1
    sound = [trial for trial in section["trials"] if trial["score"] is not None]
    best = sorted(sound, key=lambda trial: sign * trial["score"])[:SHOWN]
    benchmarks = list(best[0]["scores"])
    several = len(benchmarks) > 1
    heads = ["trial", *section["parameters"], *benchmarks, *(["mean", "Pareto front"] if several else [])]
    rows = [heads]
    for trial in best + [one for one in sound if one["number"] in section["pareto"] and one not in best]:
        row = [str(trial["number"]), *(f"{trial['values'][name]:g}" for name in section["parameters"])]
        row += [f"{trial['scores'][name]:.4f}" for name in benchmarks]
        on_front = "yes" if trial["number"] in section["pareto"] else "no"
        rows.append([*row, *([f"{trial['score']:.4f}", on_front] if several else [])])
    return f"the best of {len(section['trials'])} trials ({section['sampler']}), {section['metric']}:\n" + (
        render_columns(rows)
    )


def keep_recipe(request: SearchRequest, flags: MergeFlags, opened: OpenRecipe, section: dict[str, Any]) -> None:
    """Write the recipe with the numbers that were found. Raises MergeError when it cannot be written."""
    from ..search.found import recipe_text

    path = request.found_in
    try:
        path.write_text(recipe_text(opened, section["best"]["values"], path, [_remark(section)]), "utf-8")
    except OSError as error:
        raise MergeError(f"the recipe cannot be written: {error.strerror}", where=str(path)) from None
    section["recipe"] = str(path)
    say(f"recipe: {path}", flags)


def merge_found(
    request: SearchRequest, flags: MergeFlags, opened: OpenRecipe, objective: Objective, section: dict[str, Any]
) -> None:
    """Merge with the numbers that were found, score what was written, evaluate it on other data, report."""
    from .merging import perform

    def more(out: OutputPath) -> dict[str, Any]:
        section["written"] = objective.score_written(out).as_json()
        return {"search": section}

    recipe = final_recipe(request, flags, opened.fill(section["best"]["values"]))
    if recipe.evaluate:
        flags = replace(flags, architecture=request.architecture, batch_size=request.batch_size)
    perform(replace(recipe, remarks=(*recipe.remarks, _remark(section))), flags, more=more)


def _remark(section: dict[str, Any]) -> str:
    found = ", ".join(f"{name} = {value:g}" for name, value in section["best"]["values"].items())
    what = f"{section['metric']} {section['best']['score']:.4f} on {section['benchmark']}"
    return f"options found on held-out data by {len(section['trials'])} trials ({section['sampler']}): {found}; {what}"


def evaluate_found(request: SearchRequest, flags: MergeFlags, opened: OpenRecipe, section: dict[str, Any]) -> None:
    """Evaluate the recipe that was found, merged in memory, and report, where that is asked for."""
    from ..evaluation import evaluate, render_table
    from ..evaluation.results import Evaluation
    from ..reports import describe_environment, write_report

    benchmarks = reported(request, opened.recipe)
    evaluation = Evaluation()
    if benchmarks:
        more: dict[str, Any] = {"model": request.architecture, "device": flags.device, "batch_size": request.batch_size}
        more["spreading"] = flags.spreading
        evaluation = evaluate([str(request.found_in)], list(benchmarks), seed=request.search_seed, **more)
        for row in evaluation.results:  # the recipe cannot say that its numbers were found with data; the search knows
            row["data_use"] = joined_use([row["data_use"], "held-out"])
        say(render_table(evaluation), flags)
    if flags.report is not None:
        title = {"title": f"Search {request.recipe.stem}"}
        found = {**title, **evaluation.as_json(), "search": section, "environment": describe_environment()}
        say(f"report: {', '.join(str(path) for path in write_report(flags.report, found))}", flags)
    if flags.json_:
        say_json({"search": section} | ({"evaluation": evaluation.as_json()} if benchmarks else {}))
