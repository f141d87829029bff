"""``merge barrier A B``: loss and accuracy on the straight line between two models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError, suggest
from .flags import go_offline
from .show import Speech, say, say_json, warn

if TYPE_CHECKING:
    from ..search.line import LineChoice
    from ..search.line_document import BarrierDocument
    from ..search.resetting import Resetting

    Run = tuple[str | None, str, int, int]  # architecture, device, items at a time, seed

PANEL = "Evaluation"
AVERAGED = (
    "{} BatchNorm statistics are averaged on the line and fit no model on it, which alone looks like a barrier: "
    "--reset-data SPEC measures them anew"
)


def command(
    a: Annotated[str, typer.Argument(help="A checkpoint file or folder.", metavar="A")],
    b: Annotated[str, typer.Argument(help="Another of the same architecture.", metavar="B")],
    benchmark: Annotated[list[str], typer.Option("--benchmark", help="A benchmark; several, such as train and test.")],
    points: Annotated[int, typer.Option("--points", help="Models on the line, both ends included.", min=3)] = 25,
    aligned: Annotated[
        str | None, typer.Option("--aligned", help="B with its units permuted to fit A: a second curve.")
    ] = None,
    reset_data: Annotated[
        str | None,
        typer.Option("--reset-data", help="Data on which BatchNorm statistics are measured anew: a further curve."),
    ] = None,
    reset_samples: Annotated[
        int | None, typer.Option("--reset-samples", help="Items of that data. (default: 4096)", min=2)
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Also move one layer at a time to the middle.")] = False,
    barrier: Annotated[
        str, typer.Option("--barrier", help="The definition that is printed: linear or midpoint-mean.")
    ] = "linear",
    report: Annotated[Path | None, typer.Option("--report", help="Folder for the report.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Architecture of bare checkpoints: DIR, hf:NAME, timm:NAME, …")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", help="Items at a time.", min=1)] = 256,
    seed: Annotated[int, typer.Option("--seed", help="Seed of whatever is drawn at random.", min=0)] = 0,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print machine-readable output on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")] = False,
) -> None:
    """Draw the line between two models: is there a barrier, and how high is it?"""
    from ..search.barrier import DEFINITIONS
    from ..search.line import LineChoice

    if offline:
        go_offline()
    if barrier not in DEFINITIONS:
        hint = suggest(barrier, DEFINITIONS) or " or ".join(DEFINITIONS)
        raise UsageError(f"no definition '{barrier}' of a barrier", hint=hint)
    run = (model, device, batch_size, seed)
    choice = LineChoice(points, aligned, layers, barrier, _resetting(reset_data, reset_samples, run))
    speech = Speech(json_, quiet)
    document = _explore(a, b, benchmark, choice, report, run, speech)
    say(render(document), speech)
    if json_:
        say_json(dict(document))


def _resetting(data: str | None, samples: int | None, run: Run) -> Resetting | None:
    """Return what measures BatchNorm statistics, where data for it are named."""
    if data is None:
        if samples is not None:
            raise UsageError("--reset-samples is for measuring statistics anew", hint="give --reset-data SPEC")
        return None
    from ..after.declared import ResetOptions
    from ..calibration.data import read_data
    from ..evaluation.device import choose_device
    from ..evaluation.task import Settings
    from ..search.resetting import Resetting

    given: dict[str, Any] = {} if samples is None else {"samples": samples}
    options = ResetOptions(**given)
    return Resetting(read_data(data), options, Settings(run[0], choose_device(run[1]), run[2], run[3]))


def _explore(
    a: str,
    b: str,
    specs: list[str],
    choice: LineChoice,
    report: Path | None,
    run: Run,
    speech: Speech,
) -> BarrierDocument:
    from ..evaluation.assess import Progress
    from ..evaluation.device import choose_device
    from ..evaluation.specification import read_benchmarks
    from ..evaluation.task import Settings
    from ..progress import items_bar
    from ..reports import check_directory, describe_environment, write_report
    from ..reports.folders import gathering
    from ..search.line import averaged_statistics, explore, layer_names, two_models

    benchmarks = read_benchmarks(specs)
    if report is not None:
        check_directory(report)
    with two_models(a, b) as members:
        models = choice.evaluations(len(layer_names(members)))
        if choice.reset is not None:
            choice.reset.check((row.name for row in members.rows), a)
        elif averaged := averaged_statistics(members):
            warn(AVERAGED.format(averaged), speech)
    if choice.aligned is not None:
        with two_models(a, choice.aligned):
            pass
    progress = Progress()
    with gathering(report) as made:
        settings = Settings(run[0], choose_device(run[1]), run[2], run[3], advance=progress, output=made)
        tasks = [(one, one.prepare(settings)) for one in benchmarks]
        total = models * sum(task.n for _, task in tasks)
        with items_bar(total, "barrier", quiet=speech.quiet or speech.json_) as progress.advance:
            document = explore(a, b, tasks, choice)
        if report is not None:
            facts = {"title": "Barrier", "barrier": dict(document), "environment": describe_environment()}
            write_report(report, facts, made)
    return document


def render(document: BarrierDocument) -> str:
    """Return the barriers as a table, and that of every layer where there are any."""
    from ..evaluation.table import columns

    rows: list[list[str]] = [["line", "benchmark", "metric", "A", "B", "barrier", "at lambda"]]
    for curve in document["curves"]:
        first, last = curve["points"][0]["metrics"], curve["points"][-1]["metrics"]
        for row in curve["barriers"]:
            if row["definition"] == document["definition"]:
                ends = [f"{end[row['metric']]['value']:.4f}" for end in (first, last)]
                height = [f"{row['value']:.4f}", f"{row['at']:.3g}"]
                rows.append([curve["name"], curve["benchmark"], row["metric"], *ends, *height])
    text = f"barrier ({document['definition']}): how much worse than expected between A and B, at the worst place\n"
    text += columns(rows)
    return f"{text}\n\n{_render_layers(document)}" if document["layers"] else text


def _render_layers(document: BarrierDocument) -> str:
    from ..evaluation.table import columns

    rows: list[list[Any]] = [["layer in the middle", "benchmark", "metric", "worse than A"]]
    for layer in document["layers"]:
        for metric, worse in layer["worse"].items():
            rows.append([layer["layer"], layer["benchmark"], metric, f"{worse:+.4f}"])
    return columns(rows)
