"""The options with which two models are run over the same data; declared here for the command, recipes and docs."""

from __future__ import annotations

from ..options import Options, option


class JointCalibration(Options):
    """How two models are matched, and how Gram matrices of their joint inputs are computed."""

    matching: str = option("activations", "What tells which units belong together.", choices=("weights", "activations"))
    metric: str = option(
        "correlation",
        "activations: how alike two units are, by their values over the data.",
        choices=("correlation", "inner"),
    )
    samples: int = option(256, "Items drawn from the data.", minimum=1)
    draw: str = option("random", "Which items: drawn with the seed, or the first ones.", choices=("random", "first"))
    padding: str = option("masked", "Whether padding tokens count.", choices=("masked", "counted"))
    convolutions: bool = option(True, "Convolutions too, over their unfolded patches.")
    stand_in: bool = option(False, "Run the models on inputs drawn at random, in place of data.")
    input_shape: str = option(
        "", "Shape of what the models read, with the batch: 2x3x224x224, 2x64.", default_text="as they say"
    )
    groups: str = option("", "File that says which axes carry the same units.", default_text="traced on the model")
