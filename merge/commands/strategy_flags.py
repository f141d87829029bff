"""The flags of ``--strategy``, and which of them belong to which."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError, suggest

_PANEL = "Strategy"
UNIFORM = "uniform"
# What only one of the strategies reads; given to another it would be ignored, so it is refused.
_ONLY = {
    "greedy": ("accept", "minimum_gain", "metric", "scores"),
    "learned": ("by_tensor", "epochs", "learning_rate", "memory"),
}


def _flag(kind: Any, default: Any, name: str, help_text: str, **more: Any) -> tuple[Any, Any]:
    return Annotated[kind, typer.Option(name, help=help_text, rich_help_panel=_PANEL, **more)], default


STRATEGY: dict[str, tuple[Any, Any]] = {
    "strategy": _flag(str, UNIFORM, "--strategy", "uniform; or, with held-out data: greedy, learned."),
    "benchmark": _flag(list[str] | None, None, "--benchmark", "Held-out data that the strategy selects or learns on."),
    "metric": _flag(str | None, None, "--metric", "greedy: the measure to go by. (default: the benchmark's main one)"),
    "accept": _flag(str | None, None, "--accept", "greedy: ge takes a model that changes nothing, gt does not. (ge)"),
    "minimum_gain": _flag(float | None, None, "--minimum-gain", "greedy: how much a model must add. (0)", min=0.0),
    "scores": _flag(Path | None, None, "--scores", "greedy: file that keeps the scores. (OUT.scores.jsonl)"),
    "by_tensor": _flag(bool, False, "--by-tensor", "learned: one weight for each model and tensor."),
    "epochs": _flag(int | None, None, "--epochs", "learned: passes over the held-out data. (5)", min=1),
    "learning_rate": _flag(float | None, None, "--learning-rate", "learned: of AdamW. (0.05)"),
    "memory": _flag(str | None, None, "--memory", "learned: how much memory members may take up. (4GB)"),
}


@dataclass(frozen=True)
class StrategyFlags:
    """The flags as given; None where a strategy's default counts."""

    strategy: str
    benchmark: list[str] | None
    metric: str | None
    accept: str | None
    minimum_gain: float | None
    scores: Path | None
    by_tensor: bool
    epochs: int | None
    learning_rate: float | None
    memory: str | None


def take_strategy(values: dict[str, Any], strategies: tuple[str, ...]) -> StrategyFlags:
    """Remove the flags of strategies from a command's arguments and return them checked.

    Raises:
        UsageError: For an unknown strategy, one without held-out data, or a flag that it does not read.
    """
    chosen = StrategyFlags(**{one.name: values.pop(one.name) for one in fields(StrategyFlags)})
    known = (UNIFORM, *strategies)
    if chosen.strategy not in known:
        hint = suggest(chosen.strategy, known) or f"one of {', '.join(known)}"
        raise UsageError(f"no strategy '{chosen.strategy}'", hint=hint)
    for strategy, names in _ONLY.items():
        for name in names:
            if getattr(chosen, name) and strategy != chosen.strategy:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} belongs to --strategy {strategy}, not {chosen.strategy}")
    if chosen.accept not in (None, "ge", "gt"):
        raise UsageError(f"--accept must be ge or gt, not '{chosen.accept}'")
    if chosen.learning_rate is not None and not 0 < chosen.learning_rate < float("inf"):
        raise UsageError(f"--learning-rate must be above 0, not {chosen.learning_rate}")
    _check_benchmark(chosen)
    return chosen


def _check_benchmark(chosen: StrategyFlags) -> None:
    if chosen.strategy == UNIFORM:
        if chosen.benchmark:
            hint = "to evaluate what was written use --report-benchmark"
            raise UsageError("--benchmark belongs to --strategy greedy or learned", hint=hint)
    elif not chosen.benchmark:
        hint = "give --benchmark SPEC, other data than --report-benchmark"
        raise UsageError(f"--strategy {chosen.strategy} needs held-out data", hint=hint)
    elif chosen.strategy == "learned" and len(chosen.benchmark) > 1:
        raise UsageError("--strategy learned descends on one benchmark")
