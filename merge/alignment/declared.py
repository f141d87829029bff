"""The options of alignment; declared here for the command, recipes, schema and docs."""

from __future__ import annotations

from ..options import Options, option


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
