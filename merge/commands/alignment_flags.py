"""The flags of methods that align models: where groups and orders come from, and what is written."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any

import typer

from ..errors import UsageError, suggest
from .candidates import words

_PANEL = "Alignment"
EMITTED = ("merged", "aligned", "permutations")


def _flag(kind: Any, default: Any, *names: str, text: str, **more: Any) -> tuple[Any, Any]:
    return Annotated[kind, typer.Option(*names, help=text, rich_help_panel=_PANEL, **more)], default


ALIGNMENT: dict[str, tuple[Any, Any]] = {
    "data": _flag(
        str | None, None, "--data", text="Data for --matching activations, or with labels for straight-through."
    ),
    "groups": _flag(str | None, None, "--groups", text="File that says which axes carry the same units."),
    "permutations": _flag(
        list[str] | None, None, "--permutations", text="Apply these orders, one file for each model after the first."
    ),
    "emit": _flag(
        str,
        "merged",
        "--emit",
        text="What is written: merged, aligned (of several: OUT-2, OUT-3 …), permutations.",
        autocompletion=words(*EMITTED),
    ),
    "explain": _flag(bool, False, "--explain", text="Print the groups of the first model, and merge nothing."),
    "verify": _flag(
        bool | None, None, "--verify/--no-verify", text="Prove the groups on the model. (where one can be built)"
    ),
    "input_shape": _flag(
        str | None, None, "--input-shape", text="Shape of what the model reads, with the batch: 2x3x224x224, 2x64."
    ),
}


@dataclass(frozen=True)
class AlignmentFlags:
    """The flags as given."""

    data: str | None
    groups: str | None
    permutations: list[str] | None
    emit: str
    explain: bool
    verify: bool | None
    input_shape: str | None


def take_alignment(values: dict[str, Any], models: int) -> AlignmentFlags:
    """Remove the flags from a command's arguments and return them checked.

    Raises:
        UsageError: For a word that is none, or flags that do not go together.
    """
    chosen = AlignmentFlags(**{one.name: values.pop(one.name) for one in fields(AlignmentFlags)})
    if chosen.emit not in EMITTED:
        hint = suggest(chosen.emit, EMITTED) or f"one of {', '.join(EMITTED)}"
        raise UsageError(f"--emit must be one of {', '.join(EMITTED)}, not '{chosen.emit}'", hint=hint)
    if chosen.emit == "permutations" and models != 2:
        raise UsageError(f"--emit permutations is for two models, and {models} are given")
    finds = chosen.groups or chosen.data or chosen.explain
    if chosen.permutations and (finds or chosen.emit == "permutations"):
        raise UsageError("--permutations gives the orders, so that nothing is left to find", hint="leave it out")
    return chosen
