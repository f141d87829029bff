"""Models over benchmarks: check the request while it is cheap, then evaluate, then write the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from ..errors import MergeError, UsageError, suggest
from .assess import Settings, assess
from .results import Ensemble, Evaluation
from .specification import read_benchmark
from .weights import weight_files


def evaluate(
    models: Sequence[str],
    benchmarks: Sequence[str],
    *,
    report: Path | None = None,
    ensemble: str | None = None,
    model: str | None = None,
    device: str = "auto",
    batch_size: int = 256,
    seed: int = 0,
) -> Evaluation:
    """Evaluate checkpoints; nothing is selected on the benchmarks' data.

    Args:
        models: Checkpoints: safetensors files or transformers folders. The first is the one to compare with.
        benchmarks: YAML files, or ``digits`` for the bundled one.
        report: Folder for ``results.json``, ``report.md`` and ``report.html``.
        ensemble: ``logits`` or ``probs``: one more row per benchmark that averages these outputs of all the models.
        model: Architecture of all the models, a folder or ``hf:NAME``; else the ``config.json`` beside the weights.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        batch_size: Images at a time.
        seed: For models that draw at random.

    Returns:
        Rows of values as fractions, and the paired comparisons.

    Raises:
        UsageError: A request, benchmark file or data file is wrong.
        MergeError: A checkpoint cannot be loaded, or does not fit the benchmark.
    """
    _check_request(models, benchmarks, batch_size)
    specifications = [read_benchmark(spec) for spec in benchmarks]
    _refuse_twice([benchmark.name for benchmark in specifications], "benchmark")
    kind = _ensemble(ensemble)
    for checkpoint in models:
        weight_files(checkpoint)
    if report is not None:
        _check_report_directory(report)
    settings = Settings(kind, model, _device(device), batch_size, seed)  # imports torch: everything cheap is checked
    evaluation = Evaluation(results=[], comparisons=[])
    for benchmark in specifications:
        results, comparisons = assess(models, benchmark, settings)
        evaluation.results.extend(results)
        evaluation.comparisons.extend(comparisons)
    if report is not None:
        _write_report(evaluation, models, report)
    return evaluation


def _check_request(models: Sequence[str], benchmarks: Sequence[str], batch_size: int) -> None:
    if not models:
        raise UsageError("no model to evaluate")
    if not benchmarks:
        raise UsageError("no benchmark", hint="name one with --benchmark SPEC, or --benchmark digits")
    if batch_size < 1:
        raise UsageError(f"the batch size must be at least 1, not {batch_size}")
    _refuse_twice(models, "model")


def _refuse_twice(names: Sequence[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"the {what} '{name}' is given twice", hint="rows are told apart by these names")


def _ensemble(kind: str | None) -> Ensemble | None:
    if kind is not None and kind not in get_args(Ensemble):
        raise UsageError(f"no ensemble of '{kind}'", hint=suggest(kind, get_args(Ensemble)) or "logits or probs")
    return cast("Ensemble | None", kind)


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(f"no device '{name}'", hint="auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise MergeError(f"the device '{name}' is not there", hint=f"CUDA devices here: {torch.cuda.device_count()}")
    return name


def _check_report_directory(directory: Path) -> None:
    from ..reports import check_directory

    check_directory(directory)


def _write_report(evaluation: Evaluation, models: Sequence[str], directory: Path) -> None:
    from ..reports import describe_environment, write_report

    identities = {row["model"]: row["identity"] for row in evaluation.results if row["model"] in models}
    described = [{"name": Path(name).name, "location": name, "identity": text} for name, text in identities.items()]
    write_report(
        directory,
        {"title": "Evaluation", **evaluation.as_json(), "models": described, "environment": describe_environment()},
    )
