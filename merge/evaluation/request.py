"""What can be wrong with the request for an evaluation before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast, get_args

from ..errors import UsageError, suggest
from .results import Ensemble
from .task import Benchmark, Precision


def check_request(models: Sequence[str], benchmarks: Sequence[str], batch_size: int, precision: str) -> None:
    """Raise UsageError for a request without models or benchmarks, or with numbers that make no sense."""
    if not models:
        raise UsageError("no model to evaluate")
    if not benchmarks:
        raise UsageError("no benchmark", hint="name one with --benchmark SPEC, or --benchmark digits")
    if batch_size < 1:
        raise UsageError(f"the batch size must be at least 1, not {batch_size}")
    if precision not in get_args(Precision):
        hint = suggest(precision, get_args(Precision)) or "float32 or bfloat16"
        raise UsageError(f"no precision '{precision}'", hint=hint)


def check_experts(experts: Mapping[str, str], benchmarks: Sequence[Benchmark]) -> Mapping[str, str]:
    """Return the experts by benchmark. Raises UsageError for one of a benchmark that is not asked for."""
    names = [benchmark.name for benchmark in benchmarks]
    for name in experts:
        if name not in names:
            hint = suggest(name, names) or f"benchmarks: {', '.join(names)}"
            raise UsageError(f"there is an expert for '{name}', which is none of the benchmarks", hint=hint)
    return experts


def check_ensemble(kind: str | None) -> Ensemble | None:
    """Return the kind of ensemble. Raises UsageError for an unknown one."""
    if kind is not None and kind not in get_args(Ensemble):
        raise UsageError(f"no ensemble of '{kind}'", hint=suggest(kind, get_args(Ensemble)) or "logits or probs")
    return cast("Ensemble | None", kind)


def refuse_name_of_ensemble(models: Sequence[str], kind: Ensemble | None) -> None:
    """Raise UsageError for a model whose name is the one that the ensemble's rows will have."""
    name = f"ensemble({kind})"
    if kind is not None and name in models:
        raise UsageError(f"a model is called '{name}', as the ensemble is", hint=f"name it ./{name}")
