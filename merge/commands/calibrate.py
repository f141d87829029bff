"""``merge calibrate``: what methods must learn from data, kept in a file that can be shared instead of the data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..calibration.declared import FisherCalibration, GramCalibration
from ..checkpoints.address import on_this_machine, output_path
from ..options import Options
from .flags import COMMON, go_offline, signature
from .method import own_flag

PANEL = "Statistics"
DECLARED: dict[str, type[Options]] = {"fisher": FisherCalibration, "gram": GramCalibration}
_ABOUT = {
    "fisher": "The diagonal Fisher information of the weights, for `merge fisher`.",
    "gram": "The Gram matrices of the inputs of Linear layers and their like, for `merge regmean`.",
}
_PREFIX = "option_"
_OUTPUT, _RUN = "Output", "Running"


def command() -> None:
    """Compute from data what fisher and regmean merge with."""


def _flag(kind: Any, default: Any, *names: str, panel: str, help_text: str, **more: Any) -> tuple[Any, Any]:
    return Annotated[kind, typer.Option(*names, help=help_text, rich_help_panel=panel, **more)], default


def _file_here(text: str) -> Path:
    return on_this_machine(output_path(text), "statistics", "write them here, then copy the file")


_PARAMETERS: dict[str, tuple[Any, Any]] = {
    "model": (
        Annotated[str, typer.Argument(help="A checkpoint file, folder, hub id or recipe.", metavar="MODEL")],
        ...,
    ),
    "data": _flag(
        str, ..., "--data", panel=_RUN, help_text="A benchmark's YAML or name, an npz, a folder of images, texts, …"
    ),
    "out": _flag(
        Path,
        ...,
        "-o",
        "--out",
        panel=_OUTPUT,
        help_text="The file of statistics, a safetensors file.",
        parser=_file_here,
        metavar="PATH",
    ),
    "dtype": _flag(str, "float32", "--dtype", panel=_OUTPUT, help_text="Type of what is stored: float32 or float64."),
    "force": _flag(bool, False, "--force", panel=_OUTPUT, help_text="Replace a file that stands there."),
    "resume": _flag(
        bool, False, "--resume", panel=_RUN, help_text="Continue a run that was killed; sums are saved once a minute."
    ),
    "architecture": _flag(
        str | None,
        None,
        "--model",
        panel=_RUN,
        help_text="Architecture of a bare checkpoint: DIR, hf:NAME, timm:NAME, open_clip:NAME, file.py:Class.",
    ),
    "batch_size": _flag(int, 32, "--batch-size", panel=_RUN, help_text="Items at a time.", min=1),
    "device": _flag(str, "auto", "--device", panel=_RUN, help_text="auto, cpu, cuda or cuda:N."),
    "seed": _flag(int, 0, "--seed", panel=_RUN, help_text="Seed of whatever is drawn at random.", min=0),
    **{name: COMMON[name] for name in ("offline", "json_", "quiet", "traceback")},
}


def _command(kind: str, declared: type[Options]) -> Callable[..., None]:
    """Return the command function of one kind of statistics, with a signature that Typer reads."""

    def compute(**values: Any) -> None:
        from .calibrating import Request, perform

        options = {
            option.name: option.check(value, option.flag)
            for option in declared.declarations.values()
            if (value := values.pop(_PREFIX + option.name)) is not None
        }
        del values["traceback"]
        if values.pop("offline"):
            go_offline()
        perform(Request(kind=kind, options=declared(**options), **values))

    own = {_PREFIX + option.name: own_flag(option, "Statistics") for option in declared.declarations.values()}
    parameters = {"model": _PARAMETERS["model"]} | own | _PARAMETERS
    compute.__signature__ = signature(parameters)  # type: ignore[attr-defined]
    compute.__annotations__ = {name: annotation for name, (annotation, _) in parameters.items()}
    return compute


group = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, callback=command)
for _kind, _declared in DECLARED.items():
    group.command(_kind, help=_ABOUT[_kind], no_args_is_help=False)(_command(_kind, _declared))
