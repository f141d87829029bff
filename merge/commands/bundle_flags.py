"""The flags of the commands that write a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..checkpoints.address import output_path
from ..errors import UsageError
from .flags import COMMON

_OUTPUT, _RUN = "Output", "Running"
_SHARED: tuple[str, ...] = ("report", "dry_run", "force", "seed", "device", "architecture", "batch_size", "no_fsync")
_SHARED += ("offline", "json_", "quiet", "traceback")
BUNDLE: dict[str, tuple[Any, Any]] = {
    "out": (
        Annotated[
            Path | None,
            typer.Option(
                "-o", "--out", help="The bundle's folder.", rich_help_panel=_OUTPUT, parser=output_path, metavar="PATH"
            ),
        ],
        None,
    ),
    "copy": (
        Annotated[
            bool,
            typer.Option("--copy", help="Copy the models, shared tensors once.", rich_help_panel=_OUTPUT),
        ],
        False,
    ),
    "report_benchmark": (
        Annotated[
            list[str] | None,
            typer.Option("--report-benchmark", help="Evaluate what was written.", rich_help_panel=_RUN),
        ],
        None,
    ),
}


BUNDLE |= {name: COMMON[name] for name in _SHARED}


@dataclass(frozen=True)
class BundleFlags:
    """What a bundle command was given besides models and options."""

    report: Path | None
    report_benchmark: tuple[str, ...]
    dry_run: bool
    device: str
    batch_size: int | None
    json_: bool
    quiet: bool


def flags_of(values: Mapping[str, Any]) -> BundleFlags:
    """Return the flags that do not change the bundle. Raises UsageError for one that nothing heeds."""
    benchmarks = tuple(values["report_benchmark"] or ())
    for name, flag in (("report", "--report"), ("batch_size", "--batch-size")):
        if values[name] is not None and not benchmarks:
            raise UsageError(f"{flag} is for evaluating, and nothing is evaluated", hint="give --report-benchmark SPEC")
    if values["device"] != "auto" and not benchmarks:
        raise UsageError("--device is for evaluating, and nothing is evaluated", hint="give --report-benchmark SPEC")
    return BundleFlags(
        values["report"],
        benchmarks,
        values["dry_run"],
        values["device"],
        values["batch_size"],
        values["json_"],
        values["quiet"],
    )
