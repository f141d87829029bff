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


class ScalingCalibration(Options):
    """How coefficients of task vectors are learned."""

    preset: str = option(
        "atlas",
        "Whose settings count where none are given; AdaMerging learns from unlabeled inputs, in its paper the tests'.",
        choices=("atlas", "task-wise-adamerging", "layer-wise-adamerging"),
    )
    objective: str | None = option(
        None,
        "Cross-entropy on labels; or without labels the entropy of predictions, or sure predictions as labels.",
        choices=("supervised", "entropy", "pseudo-labels"),
        default_text="supervised; AdaMerging: entropy",
    )
    partitions: int = option(
        1, "Random parts of each tensor, each with coefficients of its own.", minimum=1, maximum=256
    )
    start: str | None = option(
        None,
        "Start with coefficients of 0, or with the best one that is the same for all.",
        choices=("zero", "uniform"),
        default_text="zero; AdaMerging: 0.3 for all",
    )
    epochs: int | None = option(
        None, "Passes over the longest of the data.", minimum=1, default_text="10; AdaMerging: 1000 steps"
    )
    steps: int | None = option(None, "Steps, in place of epochs.", minimum=1, default_text="AdaMerging: 1000")
    batch: int | None = option(
        None, "Items of each set of data in a step.", minimum=1, default_text="128; AdaMerging: 16"
    )
    learning_rate: float | None = option(
        None, "Of AdamW; atlas lets it fall along a cosine.", above=0, default_text="0.1; without labels 0.001"
    )
    weight_decay: float | None = option(
        None, "Pulls coefficients to 0, which is the base.", minimum=0, default_text="0.1; AdaMerging: 0"
    )
    regularizer: str = option(
        "none", "Adds half the mean norm of a tensor's coefficients to the loss.", choices=("none", "l1", "l2")
    )
    threshold: float = option(0.99, "Probability from which on a prediction is a pseudo-label.", minimum=0, maximum=1)
    strong: str = option(
        "shift", "What images go through where their pseudo-labels are learned.", choices=("shift", "none")
    )
    samples: int | None = option(None, "Items used of each set of data.", minimum=2, default_text="all")
    validation: str | None = option(
        None, "Data that candidates are selected by, where it is not held out.", default_text="held out"
    )
    held_out: float = option(0.2, "Share of labelled data that selects and does not teach.", above=0, maximum=0.9)
    memory: str = option("4GB", "Memory that the models may take up; the others are read again in every step.")
    allow_base: bool = option(False, "Write the base where no coefficients are better than 0.")
