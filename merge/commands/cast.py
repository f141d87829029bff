"""``merge cast``: one model in another type or other shards, bit for bit otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from ..recipe import Merge, Recipe
from .flags import COMMON, signature, take_common

PANEL = "Checkpoints"
_UNUSED = ("missing", "mismatch", "count_lost_updates", "architecture", "batch_size")  # several models, evaluation


def command(**values: Any) -> None:
    """Write one model with another dtype, or split into other shards."""
    from ..plan import make_copy_plan
    from .merging import perform

    model = values.pop("model")
    flags = take_common(dict.fromkeys(_UNUSED) | values)
    recipe = Recipe(Merge("cast", ()), keep=tuple(flags.keep or ()), seed=flags.seed or 0)
    recipe = replace(recipe, output=flags.output(recipe.output), report=flags.report)
    perform(recipe, flags, make_copy_plan(model, recipe))


_MODEL = Annotated[str, typer.Argument(help="A checkpoint file or folder.", metavar="MODEL")]
_PARAMETERS: dict[str, tuple[Any, Any]] = {"model": (_MODEL, ...)}
_PARAMETERS |= {name: flag for name, flag in COMMON.items() if name not in _UNUSED}
command.__signature__ = signature(_PARAMETERS)  # type: ignore[attr-defined]
command.__annotations__ = {name: annotation for name, (annotation, _) in _PARAMETERS.items()}
