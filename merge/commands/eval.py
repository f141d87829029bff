"""``merge eval``: is it better?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from ..errors import UsageError
from .flags import go_offline, spreading_of
from .own_flags import BatchSize, Device, Json, Offline, Quiet, Report, Seed, Traceback
from .show import Speech, say, say_json, say_report

PANEL = "Evaluation"
_ALIKE = "every process has as many threads as one alone would, so that all digits agree"

Ensemble = Annotated[str | None, typer.Option("--ensemble", help="Also average the models' logits or probs.")]
Expert = Annotated[
    list[str] | None,
    typer.Option("--expert", help="The model to measure retention against.", metavar="BENCHMARK=MODEL"),
]
SkipBroken = Annotated[bool, typer.Option("--skip-broken", help="Leave out and count items that cannot be read.")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        help="Threads of a process on the CPU; last digits may depend on it. (default: one per core; with ray 1)",
        min=1,
    ),
]
Workers = Annotated[
    int, typer.Option("--workers", help="Processes that share models and benchmarks, each with its threads.", min=1)
]
Engine = Annotated[str, typer.Option("--engine", help="local, or ray: processes of a Ray cluster.")]
Address = Annotated[str | None, typer.Option("--address", help="Of the Ray cluster, or auto.")]


def command(
    models: Annotated[
        list[str], typer.Argument(help="Checkpoint files, folders, hub ids or recipes.", metavar="MODEL...")
    ],
    benchmark: Annotated[
        list[str], typer.Option("--benchmark", help="A YAML file, or a bundled benchmark or suite such as `digits`.")
    ],
    report: Report = None,
    ensemble: Ensemble = None,
    expert: Expert = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Architecture: DIR, hf:NAME, timm:NAME, open_clip:NAME, file.py:Class."),
    ] = None,
    device: Device = "auto",
    batch_size: BatchSize = 256,
    precision: Annotated[str, typer.Option("--precision", help="float32 or bfloat16.")] = "float32",
    seed: Seed = 0,
    skip_broken: SkipBroken = False,
    threads: Threads = None,
    workers: Workers = 1,
    engine: Engine = "local",
    address: Address = None,
    offline: Offline = False,
    json_: Json = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Evaluate models on benchmarks, with sample counts, intervals and paired tests."""
    if offline:
        go_offline()
    from ..engine import cores
    from ..evaluation import evaluate, render_table

    if ensemble not in {None, "logits", "probs"}:
        raise UsageError(f"--ensemble must be logits or probs, not '{ensemble}'")
    spreading = spreading_of(workers, engine, address)
    speech = Speech(json_, quiet)
    if workers > 1 and engine == "local" and threads is None and cores() > 1 and not device.startswith("cuda"):
        say(f"note: {_ALIKE}; on a CPU, --threads 1 is faster", speech)
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
    say(render_table(found), speech)
    say_report(report, speech)
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
