"""Models over benchmarks: check the request while it is cheap, then evaluate, then write the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .assess import Assessed, add_rows
from .locate import Location, locate_all
from .remember import remember
from .request import check_ensemble, check_experts, check_request, refuse_name_of_ensemble
from .results import Evaluation
from .side_by_side import assess_all
from .specification import read_benchmarks
from .task import Benchmark, Precision, Settings

if TYPE_CHECKING:
    from ..distributed.spreading import Spreading


def evaluate(
    models: Sequence[str],
    benchmarks: Sequence[str],
    *,
    report: Path | None = None,
    ensemble: str | None = None,
    experts: Mapping[str, str] | None = None,
    model: str | None = None,
    device: str = "auto",
    batch_size: int = 256,
    precision: str = "float32",
    seed: int = 0,
    skip_broken: bool = False,
    threads: int | None = None,
    spreading: Spreading | None = None,
    quiet: bool = True,
    sections: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Evaluate models; nothing is selected on the benchmarks' data.

    Args:
        models: Safetensors files, folders, ids on the hub, or recipes (merged in memory). The first is the one to
            compare with.
        benchmarks: YAML files, or names of bundled benchmarks and suites.
        report: Folder for ``results.json``, ``report.md`` and ``report.html``.
        ensemble: ``logits`` or ``probs``: one more row per benchmark that averages these outputs of all the models.
        experts: The model of each benchmark that retention is measured against; evaluated too.
        model: Architecture of all the models; else the ``config.json`` beside the weights.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        batch_size: Items at a time.
        precision: ``float32`` or ``bfloat16``, which the network computes in.
        seed: For models, corruptions and resampling that draw at random.
        skip_broken: Leave out and count items that cannot be read.
        threads: Threads of torch on the CPU in each process; last digits may depend on their number and on nothing else
            of how the work is spread. None: those of this process; on a cluster one.
        spreading: Processes, here or on a cluster, among which models and benchmarks are spread.
        quiet: Show no progress.
        sections: Further parts of the report.

    Returns:
        Rows of values as fractions, and the paired comparisons.

    Raises:
        UsageError: A request, benchmark file or data file is wrong.
        MergeError: A checkpoint cannot be loaded, or does not fit the benchmark.
    """
    check_request(models, benchmarks, batch_size, precision)
    specifications = read_benchmarks(benchmarks)
    experts = check_experts(experts or {}, specifications)
    kind = check_ensemble(ensemble)
    refuse_name_of_ensemble([*models, *experts.values()], kind)
    of_each = _located(models, experts, specifications)
    with _reporting(report) as made:
        settings = Settings(model, device, batch_size, seed, cast("Precision", precision), skip_broken, output=made)
        found = assess_all(of_each, specifications, settings, kind, threads, spreading, quiet)
        evaluation = _gathered(specifications, found, seed, experts)
        if report is not None and made is not None:
            _write(evaluation, specifications, model or "", report, made, sections or {})
    return evaluation


def _reporting(report: Path | None) -> AbstractContextManager[Path | None]:
    from ..reports import check_directory
    from ..reports.folders import gathering

    if report is not None:
        check_directory(report)
    return gathering(report)


def _located(
    models: Sequence[str], experts: Mapping[str, str], benchmarks: Sequence[Benchmark]
) -> dict[str, dict[str, Location]]:
    """Return where the models of each benchmark are: those named, and its expert where that is none of them."""
    locations = remember(locate_all(list(models)), len(benchmarks))
    others = locate_all([name for name in dict.fromkeys(experts.values()) if name not in locations])
    mine = {benchmark: {name: others[name]} for benchmark, name in experts.items() if name in others}
    return {one.name: {**locations, **mine.get(one.name, {})} for one in benchmarks}


def _gathered(
    benchmarks: Sequence[Benchmark], found: Iterable[Mapping[str, Assessed]], seed: int, experts: Mapping[str, str]
) -> Evaluation:
    """Return rows, comparisons and summaries of what every benchmark found."""
    evaluation = Evaluation()
    for benchmark, assessed in zip(benchmarks, found, strict=True):
        _enter(evaluation, assessed, benchmark, seed, experts.get(benchmark.name))
    _summarize(evaluation, benchmarks)
    return evaluation


def _enter(
    evaluation: Evaluation, assessed: Mapping[str, Assessed], benchmark: Benchmark, seed: int, expert: str | None
) -> None:
    from .significance import compare
    from .summary import retention

    add_rows(evaluation, assessed, benchmark, seed)
    outcomes = {name: one.outcome for name, one in assessed.items()}
    evaluation.comparisons.extend(compare(outcomes, benchmark.name, seed=seed))
    if expert is not None:
        rows = retention(outcomes, benchmark.name, expert)
        evaluation.retention.extend(rows)
        if not rows and len(outcomes) > 1:
            evaluation.notes.append(
                f"{benchmark.name}: no retention, since {expert} gets nothing right or is not scored so"
            )


def _summarize(evaluation: Evaluation, benchmarks: Sequence[Benchmark]) -> None:
    from .robustness import clean_rows, corruption_rows
    from .significance import correct_for_all
    from .summary import averages

    correct_for_all(evaluation.comparisons)
    evaluation.averages.extend(averages(clean_rows(evaluation.results, benchmarks)))
    rows, notes = corruption_rows(evaluation.results, benchmarks)
    evaluation.corruption.extend(rows)
    evaluation.notes.extend(notes)


def _write(
    evaluation: Evaluation,
    benchmarks: Sequence[Benchmark],
    architecture: str,
    directory: Path,
    made: Path,
    sections: Mapping[str, Any],
) -> None:
    from ..reports import describe_environment, write_report

    _write_clip_benchmark(evaluation, benchmarks, architecture, made)
    rows = {row["model"]: row["identity"] for row in evaluation.results}
    described: list[dict[str, Any]] = [
        {"name": Path(name).name or Path(name).resolve().name, "location": name, "content_id": identity}
        for name, identity in rows.items()
        if name != identity  # an ensemble is no checkpoint
    ]
    found = {"title": "Evaluation", **evaluation.as_json(), **sections, "models": described}
    write_report(directory, found | {"environment": describe_environment()}, made)


def _write_clip_benchmark(
    evaluation: Evaluation, benchmarks: Sequence[Benchmark], architecture: str, directory: Path
) -> None:
    """Write the zero-shot results once more in the files that CLIP_benchmark's own tools collect."""
    from ..reports.folders import CLIP_BENCHMARK
    from ..reports.write import write_folder
    from .clip_benchmark import clip_benchmark_files

    names = {benchmark.name for benchmark in benchmarks if benchmark.kind == "zero-shot"}
    files = clip_benchmark_files(evaluation.results, names, architecture)
    if files:
        write_folder(directory / CLIP_BENCHMARK, files)
