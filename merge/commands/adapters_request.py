"""What ``merge adapters`` does once its flags are read: check, show, join, say."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..adapters.joining.request import Request
from ..adapters.low_rank.truncation import Truncation
from ..checkpoints.resolve import local_path
from ..checkpoints.strength import FULL, Strength, read_strength, without_strength
from ..dtypes import parse_dtype
from ..errors import UsageError, suggest
from ..method import Method
from ..options import check_name
from ..progress import items_bar
from .flags import MergeFlags
from .method import split_values
from .show import say, say_json

FACTOR_TYPES = ("F64", "F32", "F16", "BF16")


def read_request(values: Mapping[str, Any], flags: MergeFlags) -> Request:
    """Return what the flags ask for.

    Raises:
        UsageError: A flag is wrong, or two contradict each other.
    """
    named = [_split(text) for text in values["adapters"]]
    locations = tuple(location for location, _ in named)
    method = Request(locations, values["method"]).chosen
    shared, own = _options(method, values["set_"] or [], values["weights"], len(locations))
    return Request(
        locations,
        values["method"],
        shared,
        own,
        tuple(strength for _, strength in named),
        _truncation(values["rank"], values["energy"], values["max_rank"]),
        tuple(values["only"] or ()),
        tuple(values["skip"] or ()),
        values["force_base"],
        _dtype(flags.dtype),
        flags.seed or 0,
    )


def _split(text: str) -> tuple[str, Strength]:
    """Return an adapter's location and how much of it is taken."""
    if local_path(text).exists():
        return text, FULL
    location, written = without_strength(text)
    return location, read_strength(written, text)


def _dtype(text: str | None) -> str | None:
    if text is None:
        return None
    dtype = parse_dtype(text, where="--dtype")
    if dtype not in FACTOR_TYPES:
        raise UsageError(f"factors in {text} are not read by PEFT", hint="float32, float16 or bfloat16")
    return dtype


def _truncation(rank: int | None, energy: float | None, most: int | None) -> Truncation | None:
    if rank is None and energy is None:
        if most is not None:
            raise UsageError(
                "--max-rank limits --energy, which is not given", hint="--rank cuts every module to one rank"
            )
        return None
    return Truncation(rank, energy, most)


def _options(
    method: Method, settings: Sequence[str], weights: str | None, count: int
) -> tuple[dict[str, Any], tuple[Mapping[str, Any], ...]]:
    """Return the method's options, and those of each adapter."""
    declared = method.options.declarations
    shared: dict[str, Any] = {}
    own: list[dict[str, Any]] = [{} for _ in range(count)]
    given = [_setting(text) for text in settings]
    given += [("weight", weights)] if weights is not None else []
    for name, text in given:
        if name == "weight" and name not in declared:
            raise UsageError(f"{method.name} has no weights", hint=suggest(name, declared))
        check_name(name, declared, method.name, "--set")
        if declared[name].per_model:
            for options, value in zip(own, split_values(declared[name], text, count), strict=True):
                options[name] = value
        else:
            shared[name] = declared[name].check(_value(text, declared[name].type), "--set")
    return shared, tuple(own)


def _setting(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name or not value:
        raise UsageError(f"--set needs OPTION=VALUE, not '{text}'", hint="for example --set density=0.3")
    return name.replace("-", "_"), value


def _value(text: str, kind: type) -> Any:
    """Return a value in the type of an option, or the text where it is none, which its check refuses."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind is str:
        return text
    try:
        return int(text) if kind is int else float(text)
    except ValueError:
        return text


def perform(request: Request, flags: MergeFlags) -> None:
    """Join adapters, or show what would be done.

    Raises:
        MergeError: When anything fails; then nothing is written.
    """
    from ..adapters.joining import running
    from ..adapters.joining.planned import planned
    from ..adapters.joining.preparing import check_output
    from .adapters_outcome import outcome_document, plan_document, render_outcome, render_plan
    from .merging import run_settings

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if request.is_sum and flags.device.startswith("cuda"):
        raise UsageError(
            f"{request.chosen.name} sums factors on the CPU, so that --device means nothing", hint="leave it out"
        )
    with running.opened(request) as united:
        rows = planned(united, request)
        if flags.dry_run:
            say(render_plan(united, request, rows), flags)
            if flags.json_:
                say_json(plan_document(united, request, rows, flags.out))
            if flags.out is not None:
                check_output(united, request, flags.out, force=flags.force, rehearsal=True)
            return
        if flags.out is None:
            raise UsageError("there is no output path", hint="give -o OUT")
        with items_bar(len(rows), "merging adapters", quiet=flags.quiet) as advance:
            manner = running.Manner(run_settings(flags), flags.force, not flags.no_fsync, advance)
            joined = running.join(united, request, flags.out, manner)
        say(render_outcome(united, joined), flags)
        if flags.json_:
            say_json(outcome_document(united, request, rows, joined))
