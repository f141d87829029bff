"""The options of alignment; declared here for the command, recipes, schema and docs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UsageError
from ..options import Options, option

WEIGHTS, ACTIVATIONS, STRAIGHT_THROUGH = "weights", "activations", "straight-through"
BY_DATA = (ACTIVATIONS, STRAIGHT_THROUGH)
# What says how some kinds of matching are done, and would be ignored by the others.
_MATCHING_OF: dict[str, tuple[str, ...]] = dict.fromkeys(("init", "restarts", "sweeps"), (WEIGHTS, STRAIGHT_THROUGH))
_MATCHING_OF |= {"metric": (ACTIVATIONS,), "samples": BY_DATA}
_MATCHING_OF |= dict.fromkeys(("steps", "learning_rate"), (STRAIGHT_THROUGH,))


class AlignmentOptions(Options):
    """How a model's units are brought into the order of another's."""

    matching: str = option(
        WEIGHTS,
        "What tells which units belong together; straight-through: gradients of the loss halfway between the models.",
        choices=(WEIGHTS, *BY_DATA),
    )
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
        "Three or more models: each is aligned to the first, to the medoid, in turn to the mean of the others "
        "(MergeMany), or all at once to a universe (C2M3).",
        choices=("reference", "medoid", "mean", "universe"),
    )
    samples: int = option(256, "activations, straight-through: items drawn from the data.", minimum=1)
    steps: int = option(100, "straight-through: steps of gradient descent, each matched by weights.", minimum=1)
    learning_rate: float = option(
        0.03, "straight-through: share of its length that a tensor moves in its first step.", above=0, maximum=10
    )


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
        is_way = name == "many" and given[name] != "reference"
        wanted = (WEIGHTS,) if is_way else _MATCHING_OF.get(name, (matching,))
        if matching not in wanted:
            what = f"'{name}' of {given[name]} is for matching by {' or '.join(wanted)}, and this is by {matching}"
            raise UsageError(what, where=where, hint="leave it out")
