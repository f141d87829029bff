"""``merge eval``: is it better?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from .flags import go_offline, spreading_of
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
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            help="Threads of a process on the CPU; last digits may depend on it. (default: one per core; with ray 1)",
            min=1,
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", help="Processes that share models and benchmarks, each with its threads.", min=1)
    ] = 1,
    engine: Annotated[str, typer.Option("--engine", help="local, or ray: processes of a Ray cluster.")] = "local",
    address: Annotated[str | None, typer.Option("--address", help="Of the Ray cluster, or auto.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print machine-readable output on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")] = False,
) -> None:
    """Evaluate models on benchmarks, with sample counts, intervals and paired tests."""
    if offline:
        go_offline()
    from ..engine import cores
    from ..evaluation import evaluate, render_table

    if ensemble not in {None, "logits", "probs"}:
        raise UsageError(f"--ensemble must be logits or probs, not '{ensemble}'")
    spreading = spreading_of(workers, engine, address)
    if workers > 1 and engine == "local" and threads is None and cores() > 1 and not device.startswith("cuda"):
        what = "every process has as many threads as one alone would, so that all digits agree"
        say(f"note: {what}; on a CPU, --threads 1 is faster", Speech(json_, quiet))
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
        threads=threads,
        spreading=spreading,
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
