"""All models on all benchmarks, by this process or by several, one model and benchmark at a time: the same rows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..distributed.hands import in_order
from ..distributed.spreading import Spreading, spread
from ..progress import items_bar
from .assess import Assessed, assess
from .desk import Part, Work, assess_part
from .device import choose_device
from .inference import threads_of_each, torch_threads
from .locate import Location
from .results import Ensemble
from .task import Settings

if TYPE_CHECKING:
    from .task import Benchmark

    Call = tuple[Work, Benchmark, Sequence[str]]


def assess_all(
    models: Mapping[str, Mapping[str, Location]],
    benchmarks: Sequence[Benchmark],
    settings: Settings,
    ensemble: Ensemble | None,
    threads: int | None,
    spreading: Spreading | None,
    quiet: bool,
) -> Iterator[dict[str, Assessed]]:
    """Yield what was found on each benchmark, in order; by other processes where they are wanted and can help.

    Args:
        models: Models by their names, by the benchmark.
        benchmarks: The benchmarks.
        settings: How models are run; the device is not chosen yet.
        ensemble: What is averaged besides.
        threads: Threads that torch computes with on the CPU, in each process.
        spreading: The other processes.
        quiet: Show no progress.
    """
    if spreading is None or spreading.engine == "local":  # machines of a cluster may have other devices
        settings = replace(settings, device=choose_device(settings.device))
    calls = len(benchmarks) if ensemble else sum(map(len, models.values()))
    if spreading is not None and spreading.helps(calls):
        names = {name: list(each) for name, each in models.items()}
        among = replace(spreading, threads=threads_of_each(threads, spreading.engine))
        yield from _assess_side_by_side(names, benchmarks, settings, ensemble, among, quiet=quiet)
        return
    for benchmark in benchmarks:
        with torch_threads(threads):
            assessed = assess(models[benchmark.name], benchmark, settings, ensemble, quiet=quiet)
        yield assessed


def _calls_of(models: Mapping[str, Sequence[str]], ensemble: Ensemble | None) -> list[tuple[str, list[str]]]:
    """Return what is evaluated at a time: a benchmark by its name, and a model, or all models for their ensemble.

    Args:
        models: Models by the benchmark, in order.
        ensemble: What is averaged.
    """
    if ensemble:
        return [(name, list(each)) for name, each in models.items()]
    return [(name, [model]) for name, each in models.items() for model in each]


def _assess_side_by_side(
    models: Mapping[str, Sequence[str]],
    benchmarks: Sequence[Benchmark],
    settings: Settings,
    ensemble: Ensemble | None,
    spreading: Spreading,
    *,
    quiet: bool,
) -> Iterator[dict[str, Assessed]]:
    """Yield what was found on each benchmark, in order.

    Args:
        models: Models by the benchmark, in order.
        benchmarks: The benchmarks.
        settings: How models are run; files that benchmarks make go to its folder.
        ensemble: What is averaged besides.
        spreading: The processes; their threads are those that each computes with on the CPU.
        quiet: Show no progress.

    Raises:
        MergeError: What a process could not do.
    """
    named = {benchmark.name: benchmark for benchmark in benchmarks}
    work = _work(settings, ensemble, spreading)
    calls: list[Call] = [(work, named[name], each) for name, each in _calls_of(models, ensemble)]
    with items_bar(len(calls), "evaluations", quiet=quiet) as advance:
        answers = zip(calls, in_order(_counted(calls, spreading, advance)), strict=True)
        for _, parts in groupby(answers, key=lambda answer: answer[0][1].name):
            assessed: dict[str, Assessed] = {}
            for _, part in parts:
                assessed |= part.assessed
                _keep(part, settings.output)
            yield assessed


def _work(settings: Settings, ensemble: Ensemble | None, spreading: Spreading) -> Work:
    shared = spreading.workers if spreading.engine == "local" else None
    return Work(
        uuid.uuid4().hex,
        replace(settings, advance=_ignore, output=None),
        ensemble,
        spreading.threads,
        shared,
        settings.output is not None,
    )


def _ignore(items: int) -> None:
    """Advance nothing: progress is shown by the process that asks."""


def _counted(calls: Sequence[Call], spreading: Spreading, advance: Any) -> Iterator[tuple[int, Part]]:
    for answer in spread(assess_part, calls, spreading):
        advance(1)
        yield answer


def _keep(part: Part, output: Path | None) -> None:
    for name, content in part.files.items():
        assert output is not None  # noqa: S101 - files are made where they are wanted only
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
