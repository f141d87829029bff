"""``merge barrier A B``: loss and accuracy on the straight line between two models, or between every two of several."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..errors import UsageError, suggest
from .barrier_run import BarrierRequest
from .flags import go_offline
from .own_flags import Architecture, BatchSize, Device, Json, Offline, Quiet, Report, Seed, Traceback
from .resetting import check_reset
from .show import Speech, say, say_json, say_report

PANEL = "Evaluation"


def command(
    models: Annotated[
        list[str], typer.Argument(help="Checkpoint files or folders of one architecture.", metavar="MODEL MODEL...")
    ],
    benchmark: Annotated[list[str], typer.Option("--benchmark", help="A benchmark; several, such as train and test.")],
    points: Annotated[int, typer.Option("--points", help="Models on the line, both ends included.", min=3)] = 25,
    aligned: Annotated[
        list[str] | None,
        typer.Option(
            "--aligned",
            help="A model after the first with its units in one order with it, once for each: a second curve.",
        ),
    ] = None,
    reset_data: Annotated[
        str | None,
        typer.Option("--reset-data", help="Data on which BatchNorm statistics are measured anew: a further curve."),
    ] = None,
    reset_samples: Annotated[
        int | None, typer.Option("--reset-samples", help="Items of that data. (default: 4096)", min=2)
    ] = None,
    per_layer: Annotated[
        bool, typer.Option("--per-layer", "--layers", help="Also move one layer at a time: a barrier for each.")
    ] = False,
    layer_points: Annotated[
        int | None,
        typer.Option("--layer-points", help="Models on each layer's line; an odd number. (default: 5)", min=3),
    ] = None,
    barrier: Annotated[
        str, typer.Option("--barrier", help="The definition that is printed: linear or midpoint-mean.")
    ] = "linear",
    report: Report = None,
    model: Architecture = None,
    device: Device = "auto",
    batch_size: BatchSize = 256,
    seed: Seed = 0,
    offline: Offline = False,
    json_: Json = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Draw the line between two models, or every two: is there a barrier, and how high is it?"""
    if offline:
        go_offline()
    _check_definition(barrier)
    check_reset(reset_data, reset_samples)
    layers = _layer_points(layer_points, len(models), per_layer=per_layer)
    _check_models(models, aligned or ())
    speech = Speech(json_, quiet)
    request = BarrierRequest(
        tuple(models),
        tuple(aligned or ()),
        tuple(benchmark),
        points,
        layers,
        barrier,
        (reset_data, reset_samples),
        report,
        (model, device, batch_size, seed),
    )
    _answer(request, speech)


def _answer(request: BarrierRequest, speech: Speech) -> None:
    from .barrier_run import run_line, run_pairs
    from .barrier_view import render, render_matrices

    found: Any
    if len(request.models) == 2:
        found = run_line(request, speech)
        text = render(found)
    else:
        found = run_pairs(request, speech)
        text = render_matrices(found)
    say(text, speech)
    say_report(request.report, speech)
    if speech.json_:
        say_json(dict(found))


def _check_definition(name: str) -> None:
    from ..search.barrier import DEFINITIONS

    if name not in DEFINITIONS:
        hint = suggest(name, DEFINITIONS) or " or ".join(DEFINITIONS)
        raise UsageError(f"no definition '{name}' of a barrier", hint=hint)


def _layer_points(given: int | None, models: int, *, per_layer: bool) -> int:
    """Return how many models each layer's line has; 0 where layers have none."""
    from ..search.line import LAYER_POINTS

    if not per_layer:
        if given is not None:
            raise UsageError("--layer-points is for the lines of single layers", hint="give --per-layer")
        return 0
    if models > 2:
        raise UsageError(f"--per-layer is for two models, and {models} are given", hint="name two of them")
    if given is not None and given % 2 == 0:
        raise UsageError(f"--layer-points must be odd, so that the middle is among them, not {given}")
    return given or LAYER_POINTS


def _check_models(models: list[str], aligned: tuple[str, ...] | list[str]) -> None:
    if len(models) < 2:
        raise UsageError("a line has two ends, and one model was given", hint="merge barrier A B --benchmark SPEC")
    if aligned and len(aligned) != len(models) - 1:
        what = f"--aligned is given {len(aligned)} time(s) for {len(models)} models"
        raise UsageError(what, hint="give it once for each model after the first, in their order")
