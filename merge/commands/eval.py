"""``merge eval``: is it better?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from .show import Speech, say, say_json

PANEL = "Evaluation"


def command(
    models: Annotated[list[str], typer.Argument(help="Checkpoint files or folders.", metavar="MODEL...")],
    benchmark: Annotated[list[str], typer.Option("--benchmark", help="A benchmark's YAML file, or `digits`.")],
    report: Annotated[Path | None, typer.Option("--report", help="Folder for the report.")] = None,
    ensemble: Annotated[
        str | None, typer.Option("--ensemble", help="Also average the models' logits or probs.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Architecture of bare checkpoints: DIR or hf:NAME.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images at a time.", min=1)] = 256,
    seed: Annotated[int, typer.Option("--seed", help="Seed of resampled intervals.", min=0)] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print machine-readable output on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")] = False,
) -> None:
    """Evaluate models on benchmarks, with sample counts, intervals and paired tests."""
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
        batch_size=batch_size,
        seed=seed,
    )
    say(render_table(found), Speech(json_, quiet))
    if json_:
        say_json(found.as_json())
