"""What a search leaves behind: a section of a report, and the recipe with the numbers that it found."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..evaluation.outcome import LOWER_IS_BETTER
from ..overriding import override
from ..section import parse_section
from .objective import Objective
from .problem import OpenRecipe
from .space import Values, settings_of
from .trials import Trial
from .tune import Search, score


def describe_search(search: Search, names: Sequence[str], objective: Objective, sampler: str) -> dict[str, Any]:
    """Return a search as a section of a report.

    Args:
        search: When it is over.
        names: The options.
        objective: What it went by.
        sampler: The name of what chose the trials.
    """
    best, found = search.best, score(search.best)
    benchmarks = [benchmark.name for benchmark in objective.benchmarks]
    return {
        "sampler": sampler,
        "seed": objective.settings.seed,
        "objective": f"{found.metric}{', the mean over the benchmarks' if len(benchmarks) > 1 else ''}",
        "metric": found.metric,
        "higher_is_better": found.metric not in LOWER_IS_BETTER,
        "benchmark": objective.name,
        "split": objective.split,
        "parameters": list(names),
        "trials": [_trial(trial, benchmarks, best) for trial in search.trials],
        "best": {"number": best.number, "values": dict(best.values), "score": found.value}
        | {"interval": [found.low, found.high], "n": found.n},
        "pareto": search.pareto() if len(benchmarks) > 1 else [],
    }


def _trial(trial: Trial, benchmarks: Sequence[str], best: Trial) -> dict[str, Any]:
    values: list[float | None] = [measure.value for measure in trial.measures]
    values = values or [None] * len(benchmarks)
    row = {"number": trial.number, "values": dict(trial.values), "scores": dict(zip(benchmarks, values, strict=True))}
    if trial.failure:
        return row | {"score": None, "accepted": False, "failure": trial.failure}
    return row | {"score": score(trial).value, "accepted": trial is best}


def recipe_text(opened: OpenRecipe, values: Values, path: Path, remarks: Sequence[str]) -> str:
    """Return the recipe's own text, comments included, with numbers in place of the open options.

    Args:
        opened: The recipe.
        values: The numbers.
        path: Where the text will lie; relative paths in it are changed to count from there.
        remarks: Lines to put in front.
    """
    section = parse_section(opened.text, str(opened.path))
    for setting in (*opened.settings, *settings_of(values)):
        override(section, setting)
    if path.parent.resolve() != opened.path.parent.resolve():
        _relocate(section.mapping, opened.path.parent, path.parent)
    return "".join(f"# {line}\n" for line in remarks) + _dump(section.mapping)


def _dump(mapping: Any) -> str:
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.width = 1000  # long lines stay in one
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(mapping, stream)
    return stream.getvalue()


def _relocate(mapping: Any, old: Path, new: Path) -> None:
    """Change every path of a recipe, nested merges included, so that it counts from another folder."""

    def moved(text: str, *, always: bool) -> str:
        wanted = always or (old / text).exists()  # what is not there may be an id on the hub, or a benchmark's name
        fixed = Path(text).is_absolute() or text.startswith("~")
        return os.path.relpath(old / text, new) if wanted and not fixed else text

    def move(parent: Any, key: Any, *, always: bool = False) -> None:
        if isinstance(parent[key], str):
            parent[key] = moved(parent[key], always=always)
        elif isinstance(parent[key], dict):
            _relocate(parent[key], old, new)

    for key in mapping.keys() & {"base", "model", "evaluate"}:
        move(mapping, key)
    for key in mapping.keys() & {"output", "path", "report"}:
        move(mapping, key, always=True)
    for key in mapping.keys() & {"models", "evaluate"}:
        for number in range(len(mapping[key]) if isinstance(mapping[key], list) else 0):
            move(mapping[key], number)
