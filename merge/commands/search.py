"""``merge search``: the numbers that a recipe leaves open, found with held-out data."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from .flags import COMMON, signature, take_common
from .search_request import SearchRequest

PANEL = "Recipes"
_SEARCH, _EVALUATION = "Search", "Evaluation"


def command(**values: Any) -> None:
    """Find the options of a recipe that are marked for search, with held-out data."""
    from .searching import perform_search

    request = SearchRequest(**{one.name: values.pop(one.name) for one in fields(SearchRequest)})
    # Of the flags of merging commands those are left out that a recipe or `merge run` on what was found sets.
    flags = take_common({name: default for name, (_, default) in COMMON.items()} | values)
    request.check()
    perform_search(request, flags)


def _flag(kind: Any, default: Any, name: str, help_text: str, panel: str = _SEARCH, **more: Any) -> tuple[Any, Any]:
    return Annotated[kind, typer.Option(name, help=help_text, rich_help_panel=panel, **more)], default


_SHARED = ("out", "report", "dry_run", "force", "device", "engine", "address", "offline", "json_", "quiet", "traceback")
_PARAMETERS: dict[str, tuple[Any, Any]] = {
    "recipes": (Annotated[list[Path], typer.Argument(help="A YAML recipe.", metavar="RECIPE")], ...),
    "settings": _flag(
        list[str] | None, None, "--set", "Override a key; t=0:1:0.1 searches an option in steps.", metavar="KEY=VALUE"
    ),
    "benchmark": _flag(
        list[str] | None, None, "--benchmark", "Held-out data that the search goes by; several count alike."
    ),
    "metric": _flag(str | None, None, "--metric", "The measure to go by. (default: the benchmark's main one)"),
    "trials": _flag(int | None, None, "--trials", "How many to try. (default: 50, or all of a grid)", min=1),
    "sampler": _flag(
        str | None, None, "--sampler", "cma, refine (one option), random, grid. (default: cma; one option: refine)"
    ),
    "search_seed": _flag(int, 0, "--seed", "Seed of the sampler and of benchmarks that draw at random.", min=0),
    "processes": _flag(
        int | None,
        None,
        "--processes",
        "Trials at a time, each in a process and memory of its own. (default: --workers)",
        min=1,
    ),
    "workers": _flag(
        int, 1, "--workers", "Processes for the trials, for the merge of -o and for evaluating it.", "Running", min=1
    ),
    "trial_threads": _flag(int, 1, "--threads", "Threads that a trial computes with on the CPU.", min=1),
    "trials_file": _flag(Path | None, None, "--trials-file", "Keeps the trials. (default: RECIPE.trials.jsonl)"),
    "recipe_out": _flag(
        Path | None, None, "--recipe-out", "Gets the recipe that was found. (default: RECIPE-best.yaml)"
    ),
    "report_benchmark": _flag(
        list[str] | None, None, "--report-benchmark", "Evaluate what was found, on other data.", _EVALUATION
    ),
    "architecture": _flag(
        str | None, None, "--model", "Architecture of bare checkpoints: DIR, hf:NAME, timm:NAME, …", _EVALUATION
    ),
    "batch_size": _flag(int, 256, "--batch-size", "Held-out items at a time.", _EVALUATION, min=1),
} | {name: COMMON[name] for name in _SHARED}
command.__signature__ = signature(_PARAMETERS)  # type: ignore[attr-defined]
command.__annotations__ = {name: annotation for name, (annotation, _) in _PARAMETERS.items()}
