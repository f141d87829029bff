"""The options of alignment; declared here for the command, recipes, schema and docs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UsageError
from ..options import Options, option

# What says how one kind of matching is done, and would be ignored by the other.
_MATCHING_OF = {"init": "weights", "restarts": "weights", "sweeps": "weights"}
_MATCHING_OF |= {"metric": "activations", "samples": "activations"}


class AlignmentOptions(Options):
    """How a model's units are brought into the order of another's."""

    matching: str = option("weights", "What tells which units belong together.", choices=("weights", "activations"))
    metric: str = option(
        "correlation",
        "activations: how alike two units are, by their values over the data.",
        choices=("correlation", "inner"),
    )
    init: str = option(
        "anchored",
        "weights: the first pass goes by tensors whose other axes are known, or starts from the order as it is.",
        choices=("anchored", "identity"),
    )
    restarts: int = option(1, "weights: how often to start, in other orders of the groups; the best counts.", minimum=1)
    sweeps: int = option(100, "weights: most passes over all groups.", minimum=1)
    only: str = option("", "Kinds of groups to move: residual, heads, within-heads, mlp, other.", default_text="all")
    many: str = option(
        "reference",
        "Three or more models: each is aligned to the first, or in turn to the mean of the others (MergeMany).",
        choices=("reference", "mean"),
    )
    samples: int = option(256, "activations: items drawn from the data.", minimum=1)


def check_together(given: Mapping[str, Any], where: str | None) -> None:
    """Refuse options that mean nothing beside each other.

    Args:
        given: The options that are stated, each checked by itself.
        where: Where they stand.

    Raises:
        UsageError: One of them belongs to the other kind of matching.
    """
    matching = given.get("matching", AlignmentOptions.declarations["matching"].default)
    for name in given:
        wanted = "weights" if (name, given[name]) == ("many", "mean") else _MATCHING_OF.get(name, matching)
        if wanted != matching:
            what = f"'{name}' of {given[name]} is for matching by {wanted}, and this is by {matching}"
            raise UsageError(what, where=where, hint="leave it out")
