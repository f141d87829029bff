"""What ``merge barrier`` does once its flags are read: check, evaluate the lines, write the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .resetting import resetting
from .show import Speech, warn

if TYPE_CHECKING:
    from ..evaluation.task import Benchmark, Settings, Task
    from ..search.line_document import BarrierDocument
    from ..search.matrix_document import BarrierMatrixDocument
    from ..search.members import Members
    from ..search.resetting import Resetting

Found = TypeVar("Found", "BarrierDocument", "BarrierMatrixDocument")
AVERAGED = (
    "{} BatchNorm statistics are averaged on the line and fit no model on it, which alone looks like a barrier: "
    "--reset-data SPEC measures them anew"
)


@dataclass(frozen=True)
class BarrierRequest:
    """What was asked for.

    Attributes:
        models: Two or more.
        aligned: Those after the first with their units in one order; none, or as many as there are.
        layers: Number of models on each layer's line; 0 for no such lines.
        definition: The barrier that is printed.
        reset: Data to measure BatchNorm statistics on, and how many items of it.
        run: Architecture, device, items at a time, seed.
    """

    models: tuple[str, ...]
    aligned: tuple[str, ...]
    benchmarks: tuple[str, ...]
    points: int
    layers: int
    definition: str
    reset: tuple[str | None, int | None]
    report: Path | None
    run: tuple[str | None, str, int, int]

    def settings(self, **more: Any) -> Settings:
        """Return how models are run."""
        from ..evaluation.device import choose_device
        from ..evaluation.task import Settings

        architecture, device, batch_size, seed = self.run
        return Settings(architecture, choose_device(device), batch_size, seed, **more)

    def resetting(self) -> Resetting | None:
        """Return what measures BatchNorm statistics, where data for it are named."""
        data, samples = self.reset
        return None if data is None else resetting(data, samples, self.settings())


def run_line(request: BarrierRequest, speech: Speech) -> BarrierDocument:
    """Evaluate the line between two models.

    Raises:
        MergeError: The models do not fit together, or not the benchmark.
    """
    from ..search.layer_line import layers_of
    from ..search.line import LineChoice, explore

    a, b = request.models
    aligned = next(iter(request.aligned), None)
    choice = LineChoice(request.points, aligned, request.layers, request.definition, request.resetting())
    layers = _checked(request, choice.reset, speech, lambda members: len(layers_of(members)))
    return _evaluated(
        request, choice.evaluations(layers), "barrier", speech, lambda tasks: explore(a, b, tasks, choice)
    )


def run_pairs(request: BarrierRequest, speech: Speech) -> BarrierMatrixDocument:
    """Evaluate the lines between every two models.

    Raises:
        MergeError: The models do not fit together, or not the benchmark.
    """
    from ..search.matrix import MatrixChoice, explore_pairs

    models = request.models
    choice = MatrixChoice(request.points, request.aligned, request.definition, request.resetting())
    count = choice.evaluations(_checked(request, choice.reset, speech, len))
    return _evaluated(request, count, "barrier_matrix", speech, lambda tasks: explore_pairs(models, tasks, choice))


def _checked(request: BarrierRequest, reset: Resetting | None, speech: Speech, count: Callable[[Members], int]) -> int:
    """Check by headers that the models fit together, and the aligned ones too; return what is counted of them."""
    from ..evaluation.specification import read_benchmarks
    from ..reports import check_directory
    from ..search.line import averaged_statistics, open_models

    read_benchmarks(request.benchmarks)
    if request.report is not None:
        check_directory(request.report)
    with open_models(request.models) as members:
        counted = count(members)
        if reset is not None:
            reset.check((row.name for row in members.rows), request.models[0])
        elif averaged := averaged_statistics(members):
            warn(AVERAGED.format(averaged), speech)
    if request.aligned:
        with open_models([request.models[0], *request.aligned]):
            pass
    return counted


def _evaluated(
    request: BarrierRequest,
    models: int,
    key: str,
    speech: Speech,
    explore: Callable[[list[tuple[Benchmark, Task]]], Found],
) -> Found:
    """Evaluate so many models on every benchmark, and write the report where one is wanted."""
    from ..evaluation.assess import Progress
    from ..evaluation.specification import read_benchmarks
    from ..progress import items_bar
    from ..reports import describe_environment, write_report
    from ..reports.folders import gathering

    progress = Progress()
    with gathering(request.report) as made:
        settings = request.settings(advance=progress, output=made)
        tasks = [(one, one.prepare(settings)) for one in read_benchmarks(request.benchmarks)]
        total = models * sum(task.n for _, task in tasks)
        with items_bar(total, "barrier", quiet=speech.quiet or speech.json_) as progress.advance:
            document = explore(tasks)
        if request.report is not None:
            facts = {"title": "Barrier", key: dict(document), "environment": describe_environment()}
            write_report(request.report, facts, made)
    return document
