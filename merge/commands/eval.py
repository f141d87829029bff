"""``merge eval``: is it better?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from .flags import go_offline
from .show import Speech, say, say_json

PANEL = "Evaluation"


def command(
    models: Annotated[
        list[str], typer.Argument(help="Checkpoint files, folders, hub ids or recipes.", metavar="MODEL...")
    ],
    benchmark: Annotated[
        list[str], typer.Option("--benchmark", help="A YAML file, or a bundled benchmark or suite such as `digits`.")
    ],
    report: Annotated[Path | None, typer.Option("--report", help="Folder for the report.")] = None,
    ensemble: Annotated[
        str | None, typer.Option("--ensemble", help="Also average the models' logits or probs.")
    ] = None,
    expert: Annotated[
        list[str] | None,
        typer.Option("--expert", help="The model to measure retention against.", metavar="BENCHMARK=MODEL"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Architecture: DIR, hf:NAME, timm:NAME, open_clip:NAME, file.py:Class."),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images at a time.", min=1)] = 256,
    precision: Annotated[str, typer.Option("--precision", help="float32 or bfloat16.")] = "float32",
    seed: Annotated[int, typer.Option("--seed", help="Seed of whatever is drawn at random.", min=0)] = 0,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out and count items that cannot be read.")
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print machine-readable output on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")] = False,
) -> None:
    """Evaluate models on benchmarks, with sample counts, intervals and paired tests."""
    if offline:
        go_offline()
    from ..evaluation import evaluate, render_table

    if ensemble not in {None, "logits", "probs"}:
        raise UsageError(f"--ensemble must be logits or probs, not '{ensemble}'")
    found = evaluate(
        models,
        benchmark,
        report=report,
        ensemble=ensemble,
        model=model,
        device=device,
        experts=_experts(expert or ()),
        batch_size=batch_size,
        precision=precision,
        seed=seed,
        skip_broken=skip_broken,
        quiet=quiet,
    )
    say(render_table(found), Speech(json_, quiet))
    if json_:
        say_json(found.as_json())


def _experts(given: Sequence[str]) -> dict[str, str]:
    """Turn ``digits=./expert.st`` into a mapping."""
    experts: dict[str, str] = {}
    for text in given:
        name, equals, model = text.partition("=")
        if not (name and equals and model) or name in experts:
            raise UsageError(f"'{text}' in --expert is not BENCHMARK=MODEL, one for each benchmark")
        experts[name] = model
    return experts
