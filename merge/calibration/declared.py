"""The options with which statistics are computed; declared here for their commands, recipes, schema and docs."""

from __future__ import annotations

from ..options import Options, option


class GramCalibration(Options):
    """How Gram matrices of a model's inputs are computed."""

    samples: int = option(256, "Items drawn from each model's data.", minimum=1)
    draw: str = option("random", "Which items: drawn with the seed, or the first ones.", choices=("random", "first"))
    padding: str = option(
        "masked", "Whether padding tokens count; published numbers counted them.", choices=("masked", "counted")
    )
    convolutions: bool = option(False, "Convolutions too, over their unfolded patches.")


class SequentialCalibration(GramCalibration):
    """How RegMean++ goes through the blocks."""

    final_norm: str = option(
        "pretrained", "The norm after the last block: the base's, or the models' mean.", choices=("pretrained", "mean")
    )
    granularity: str = option(
        "block",
        "What runs on merged activations: a model's whole block, or every linear layer by itself.",
        choices=("block", "linear"),
    )
    cache: str = option("memory", "Where activations between two blocks are kept.", choices=("memory", "disk"))


class FisherCalibration(Options):
    """How the diagonal Fisher information is computed."""

    samples: int = option(4096, "Items used from each model's data.", minimum=1)
    draw: str = option("first", "Which items: drawn with the seed, or the first ones.", choices=("random", "first"))
    labels: str = option(
        "auto",
        "Expectation over all classes, labels sampled from the model, or the data's own; auto: exact up to 64 classes.",
        choices=("auto", "exact", "sampled", "empirical"),
    )
    gradients: str = option(
        "per-example",
        "Square each example's gradient, or each batch's sum; the latter, faster, is for sampled labels only.",
        choices=("per-example", "summed"),
    )
    per: str = option("example", "What texts are averaged over.", choices=("example", "token"))
