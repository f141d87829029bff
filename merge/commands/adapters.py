"""``merge adapters``: several adapters become one, without their base."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .flags import COMMON, signature, take_common

PANEL = "Checkpoints"
_HOW, _WHAT = "Method", "Adapters"
_USED: tuple[str, ...] = (
    "out",
    "dtype",
    "dry_run",
    "force",
    "seed",
    "device",
    "threads",
    "no_fsync",
    "offline",
    "json_",
    "quiet",
)
_USED += ("traceback",)


def command(**values: Any) -> None:
    """Merge adapters of one base into one adapter; the base is not needed."""
    from .adapters_request import perform, read_request

    common = take_common({name: values.pop(name, default) for name, (_, default) in COMMON.items()})
    perform(read_request(values, common), common)


def _own(kind: Any, default: Any, *names: str, help_text: str, panel: str = _HOW, **more: Any) -> tuple[Any, Any]:
    return Annotated[kind, typer.Option(*names, help=help_text, rich_help_panel=panel, **more)], default


_ADAPTERS = Annotated[
    list[str],
    typer.Argument(
        help="Folders as PEFT writes them, hub ids, or kohya's files; ADAPTER=0.8 takes so much of it.",
        metavar="ADAPTER...",
    ),
]
_PARAMETERS: dict[str, tuple[Any, Any]] = {
    "adapters": (_ADAPTERS, ...),
    "method": _own(
        str | None,
        None,
        "--method",
        help_text="How they are merged: any method over weights or task vectors. (default: soup)",
    ),
    "weights": _own(
        str | None,
        None,
        "--weights",
        help_text="Factor of each adapter. (default: 1/k; 1 for task-arithmetic)",
        metavar="W1,W2,…",
    ),
    "set_": _own(
        list[str] | None,
        None,
        "--set",
        help_text="An option of the method: density=0.3; A,B,… for each adapter.",
        metavar="OPTION=VALUE",
    ),
    "rank": _own(int | None, None, "--rank", help_text="Cut every module down to this rank."),
    "energy": _own(
        float | None,
        None,
        "--energy",
        help_text="Cut down to the rank that keeps this share of the squares, e.g. 0.95.",
    ),
    "max_rank": _own(int | None, None, "--max-rank", help_text="The highest rank for --energy."),
    "only": _own(
        list[str] | None,
        None,
        "--only",
        help_text="Merge only modules whose names match.",
        panel=_WHAT,
        metavar="PATTERN",
    ),
    "skip": _own(
        list[str] | None,
        None,
        "--skip",
        help_text="Leave out modules whose names match.",
        panel=_WHAT,
        metavar="PATTERN",
    ),
    "force_base": _own(
        bool, False, "--force-base", help_text="Merge adapters of bases with different names.", panel=_WHAT
    ),
}
_PARAMETERS |= {name: COMMON[name] for name in _USED}
command.__signature__ = signature(_PARAMETERS)  # type: ignore[attr-defined]
command.__annotations__ = {name: annotation for name, (annotation, _) in _PARAMETERS.items()}
