"""``merge extract-lora``: what a tuned model has beyond its base, as a LoRA."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..dtypes import parse_dtype
from ..errors import UsageError, some_of, suggest
from .flags import COMMON, signature, take_common

if TYPE_CHECKING:
    from ..adapters.extracting.document import ExtractDocument
    from ..adapters.extracting.extract import Done
    from ..adapters.extracting.opened import Extracting
    from ..adapters.extracting.request import Extraction
    from .flags import MergeFlags

PANEL = "Checkpoints"
_OWN = "Extraction"
_OUTPUT, _RUNNING = ("out", "dtype", "force"), ("device", "threads", "no_fsync", "offline", "cache", "dry_run")
_COMMON = (*_OUTPUT, *_RUNNING, "json_", "quiet", "traceback")
_FLAGS = {"workers": 1, "engine": "local", "resume": False, "allow_nonfinite": False, "sha256": False}
SHOWN = 8  # tensors that are named by a dry run before "and … more"


def command(**values: Any) -> None:
    """Take what a tuned model has beyond its base as a LoRA that PEFT loads, by singular value decomposition."""
    from ..adapters.extracting.opened import Extracting

    flags = take_common(dict.fromkeys(COMMON) | _FLAGS | {name: values.pop(name) for name in _COMMON})
    extracting = Extracting(_extraction(values, flags))
    try:
        if flags.dry_run:
            from ..adapters.extracting.extract import check_output

            _show_plan(extracting.planned(), flags)
            if flags.out is not None:
                check_output(extracting, force=flags.force, rehearsal=True)
            return
        _run(extracting, flags)
    finally:
        extracting.close()


def _extraction(values: dict[str, Any], flags: MergeFlags) -> Extraction:
    from ..adapters.extracting.request import EMBEDDINGS, Extraction
    from ..adapters.low_rank.truncation import Truncation

    truncation = Truncation(values["rank"], values["energy"], values["max_rank"], values["exact"])
    if values["base"] is None:
        raise UsageError("there is no base to take the difference from", hint="give --base BASE")
    chosen = next((one for one in EMBEDDINGS if one == values["embeddings"]), None)
    if chosen is None:
        what = f"--embeddings must be one of {', '.join(EMBEDDINGS)}, not '{values['embeddings']}'"
        raise UsageError(what, hint=suggest(values["embeddings"], EMBEDDINGS))
    whole, only, skip = (tuple(values[kind] or ()) for kind in ("whole", "only", "skip"))
    dtype = parse_dtype(flags.dtype, where="--dtype") if flags.dtype else "F32"
    if dtype not in {"F32", "F16", "BF16", "F64"}:
        raise UsageError(f"factors in {flags.dtype} are not read by PEFT", hint="float32, float16 or bfloat16")
    return Extraction(values["model"], values["base"], truncation, flags.out, dtype, chosen, whole, only, skip)


def _run(extracting: Extracting, flags: MergeFlags) -> None:
    from ..adapters.extracting.extract import ExtractSettings, extract
    from ..progress import progress_bar
    from .merging import run_settings
    from .show import say_json

    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    plan = extracting.difference.plan
    with progress_bar(plan.bytes_read, sum(plan.counts.values()), "extracting", quiet=flags.quiet) as advance:
        settings = ExtractSettings(flags.force, not flags.no_fsync, replace(run_settings(flags), advance=advance))
        done = extract(extracting, settings)
    _show(done, flags)
    if flags.json_:
        say_json(done.document)


def _show(done: Done, flags: MergeFlags) -> None:
    from ..adapters.extracting.describing import percent, size_line, table
    from .show import render_columns, say, warn

    document = done.document
    for text in document["warnings"]:
        warn(text, flags)
    for note in document["notes"]:
        say(f"note: {note}", flags)
    if done.extracted.layers and document["energy"] is not None:
        say(render_columns(table(done.extracted.layers)), flags)
        say(f"energy kept of all layers together: {percent(document['energy'])}", flags)
    if document["whole"]:
        say(f"saved whole: {some_of((one['tensor'] for one in document['whole']), SHOWN)}", flags)
    asked = [one["tensor"] for one in document["left"] if one["reason"].startswith("left out by")]
    if asked:
        say(f"differs, and left out as asked: {some_of(asked, SHOWN)}", flags)
    say(f"wrote {done.out} ({size_line(document)}) in {document['seconds']:.1f} s", flags)


def _show_plan(document: ExtractDocument, flags: MergeFlags) -> None:
    from ..adapters.extracting.describing import size_line
    from .show import render_columns, say, say_json

    if flags.json_:
        say_json(document)
        return
    rows = [("layer", "kind", "shape", "rank")]
    for one in document["modules"]:
        rows.append((one["module"], one["kind"], " x ".join(map(str, one["shape"])), str(one["rank"])))
    say(render_columns(rows), flags)
    whole = [one["tensor"] for one in document["whole"]]
    if whole:
        say(f"saved whole if it differs: {some_of(whole, SHOWN)}", flags)
    if document["left"]:
        left = some_of((one["tensor"] for one in document["left"]), SHOWN)
        say(f"not in the adapter, even if it differs: {left}", flags)
    say(f"at most {size_line(document)}; layers that do not differ get no factors", flags)


def _flag(kind: Any, default: Any, *names: str, help_text: str, **more: Any) -> tuple[Any, Any]:
    return Annotated[kind, typer.Option(*names, help=help_text, rich_help_panel=_OWN, **more)], default


_PARAMETERS: dict[str, tuple[Any, Any]] = {
    "model": (Annotated[str, typer.Argument(help="The tuned model.", metavar="TUNED")], ...),
    "base": _flag(str | None, None, "--base", help_text="The model that it was tuned from; needed."),
    "rank": _flag(int | None, None, "--rank", help_text="Rank of every layer's factors."),
    "energy": _flag(
        float | None, None, "--energy", help_text="Or the share of every layer's squared difference to keep: 0.95."
    ),
    "max_rank": _flag(int | None, None, "--max-rank", help_text="The highest rank for that share."),
    "embeddings": _flag(
        str, "lora", "--embeddings", help_text="Of tokens, and the output matrix: lora, whole, or skip."
    ),
    "whole": _flag(
        list[str] | None,
        None,
        "--whole",
        help_text="Save tensors matching this as they are; auto: all that differ and that factors cannot hold.",
        metavar="PATTERN",
    ),
    "only": _flag(list[str] | None, None, "--only", help_text="Only layers matching this.", metavar="PATTERN"),
    "skip": _flag(list[str] | None, None, "--skip", help_text="No layers matching this.", metavar="PATTERN"),
    "exact": _flag(bool, False, "--exact", help_text="Decompose large matrices exactly too, which takes long."),
}
_PARAMETERS |= {name: COMMON[name] for name in _COMMON}
command.__signature__ = signature(_PARAMETERS)  # type: ignore[attr-defined]
command.__annotations__ = {name: annotation for name, (annotation, _) in _PARAMETERS.items()}
