"""The flags of ``--strategy``, and which of them belong to which."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError, suggest
from .candidates import words
from .resetting import check_reset

_PANEL = "Strategy"
UNIFORM = "uniform"
# Which strategies read a flag; given to another it would be ignored, so it is refused.
_READ_BY = {
    **dict.fromkeys(("accept", "minimum_gain", "scores", "reset_data", "reset_samples"), ("greedy",)),
    "metric": ("greedy", "coefficients"),
    **dict.fromkeys(("by_tensor", "epochs", "learning_rate", "memory"), ("learned",)),
}


def _flag(kind: Any, default: Any, name: str, help_text: str, **more: Any) -> tuple[Any, Any]:
    return Annotated[kind, typer.Option(name, help=help_text, rich_help_panel=_PANEL, **more)], default


STRATEGY: dict[str, tuple[Any, Any]] = {
    "strategy": _flag(
        str,
        UNIFORM,
        "--strategy",
        "uniform; or, with held-out data: greedy, learned, coefficients, as far as the method has them.",
    ),
    "benchmark": _flag(list[str] | None, None, "--benchmark", "Held-out data that the strategy selects or learns on."),
    "metric": _flag(
        str | None, None, "--metric", "greedy, coefficients: the measure to go by. (default: the benchmark's main one)"
    ),
    "accept": _flag(str | None, None, "--accept", "greedy: ge takes a model that changes nothing, gt does not. (ge)"),
    "minimum_gain": _flag(float | None, None, "--minimum-gain", "greedy: how much a model must add. (0)", min=0.0),
    "scores": _flag(Path | None, None, "--scores", "greedy: file that keeps the scores. (OUT.scores.jsonl)"),
    "reset_data": _flag(
        str | None,
        None,
        "--reset-data",
        "greedy: data on which BatchNorm statistics are measured anew before every evaluation, and of the output.",
    ),
    "reset_samples": _flag(int | None, None, "--reset-samples", "greedy: items of that data. (default: 4096)", min=2),
    "by_tensor": _flag(bool, False, "--by-tensor", "learned: one weight for each model and tensor."),
    "epochs": _flag(int | None, None, "--epochs", "learned: passes over the held-out data. (5)", min=1),
    "learning_rate": _flag(float | None, None, "--learning-rate", "learned: of AdamW. (0.05)"),
    "memory": _flag(str | None, None, "--memory", "learned: how much memory members may take up. (4GB)"),
}


def strategy_parameters(strategies: tuple[str, ...]) -> dict[str, tuple[Any, Any]]:
    """Return the flags that a method with these strategies has; none for a method without any."""
    if not strategies:
        return {}
    about = f"uniform; or, with held-out data: {', '.join(strategies)}."
    choice = _flag(str, UNIFORM, "--strategy", about, autocompletion=words(UNIFORM, *strategies))
    read = {name for name in STRATEGY if set(_READ_BY.get(name, strategies)) & set(strategies)}
    return {name: flag for name, flag in STRATEGY.items() if name in read} | {"strategy": choice}


@dataclass(frozen=True)
class StrategyFlags:
    """The flags as given; None where a strategy's default counts."""

    strategy: str
    benchmark: list[str] | None
    metric: str | None
    accept: str | None
    minimum_gain: float | None
    scores: Path | None
    reset_data: str | None
    reset_samples: int | None
    by_tensor: bool
    epochs: int | None
    learning_rate: float | None
    memory: str | None


def take_strategy(values: dict[str, Any], strategies: tuple[str, ...]) -> StrategyFlags:
    """Remove the flags of strategies from a command's arguments and return them checked.

    Raises:
        UsageError: For an unknown strategy, one without held-out data, or a flag that it does not read.
    """
    chosen = StrategyFlags(**{one.name: values.pop(one.name, STRATEGY[one.name][1]) for one in fields(StrategyFlags)})
    known = (UNIFORM, *strategies)
    if chosen.strategy not in known:
        hint = suggest(chosen.strategy, known) or f"one of {', '.join(known)}"
        raise UsageError(f"no strategy '{chosen.strategy}'", hint=hint)
    for name, readers in _READ_BY.items():
        if getattr(chosen, name) and chosen.strategy not in readers:
            flag, mine = f"--{name.replace('_', '-')}", [one for one in readers if one in strategies] or readers
            raise UsageError(f"{flag} belongs to --strategy {' or '.join(mine)}, not {chosen.strategy}")
    if chosen.accept not in (None, "ge", "gt"):
        raise UsageError(f"--accept must be ge or gt, not '{chosen.accept}'")
    if chosen.learning_rate is not None and not 0 < chosen.learning_rate < float("inf"):
        raise UsageError(f"--learning-rate must be above 0, not {chosen.learning_rate}")
    _check_benchmark(chosen, strategies)
    check_reset(chosen.reset_data, chosen.reset_samples)
    return chosen


def _check_benchmark(chosen: StrategyFlags, strategies: tuple[str, ...]) -> None:
    if chosen.strategy == UNIFORM:
        if chosen.benchmark:
            hint = "to evaluate what was written use --report-benchmark"
            raise UsageError(f"--benchmark belongs to --strategy {' or '.join(strategies)}", hint=hint)
    elif not chosen.benchmark:
        hint = "give --benchmark SPEC, other data than --report-benchmark"
        raise UsageError(f"--strategy {chosen.strategy} needs held-out data", hint=hint)
    elif chosen.strategy == "learned" and len(chosen.benchmark) > 1:
        raise UsageError("--strategy learned descends on one benchmark")
