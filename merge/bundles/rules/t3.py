r"""T3: merge a pre-trained model and an expert anew for every sample, by how far their outputs disagree.

Test-time model merging with mutual information, arXiv:2510.27265. With p_0(x) and p_1(x) the outputs of the pretrained
model and of the expert, and JS the Jensen-Shannon divergence of the two:

    lambda(x) = low + (high - low) sigmoid(gamma JS(p_0(x), p_1(x)))
    theta(x)  = lambda(x) theta_0 + (1 - lambda(x)) theta_1

so that the expert counts where both agree, and the pretrained model where they drift apart (`direction` ``expert``
swaps that). T3_B, `mode` ``batch``, merges once for a batch, with the mean of its lambdas. JS is at most ln 2, so that
with gamma .5 lambda lies between .5 and .586: close to a constant. What is reported always has that constant beside it;
`map` ``linear`` uses the whole interval.

Use it for a pretrained classifier and its expert where the data shift from sample to sample, and where about four
forward passes are affordable. Compare it with a constant lambda.

Not where `merge eval` shows no gain over that constant: then wise-ft gives one checkpoint at one forward pass. Not for
models that write text, nor as an input of other merges.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ...errors import UsageError
from ...options import Options, option
from ..rule import Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...evaluation.outcome import Outcome
    from ...evaluation.task import Settings, Task
    from ..bundle import Bundle


class T3Options(Options):
    """Options of T3."""

    mode: str = option("sample", "Merge for every sample, or once for a batch (T3_B).", choices=("sample", "batch"))
    batch: int = option(32, "Samples of a batch, in the order of the data.", minimum=1)
    gamma: float = option(0.5, "Steepness of the sigmoid.", minimum=0)
    bounds: str = option("0,1", "Least and largest lambda, such as 0.2,0.8.")
    delta: float = option(0.0, "What both bounds are moved apart by.", minimum=0)
    map: str = option(
        "sigmoid",
        "From divergence to lambda: as published, over the whole interval, or around a center.",
        choices=("sigmoid", "linear", "centered-sigmoid"),
    )
    center: float = option(0.0, "centered-sigmoid: the divergence whose lambda is in the middle.", minimum=0)
    js_base: str = option("e", "Base of the divergence's logarithm.", choices=("e", "2"))
    direction: str = option(
        "defer",
        "lambda weighs the pretrained model, or with expert the expert.",
        choices=("defer", "expert"),
    )
    towers: str = option(
        "image", "CLIP: merge the image tower, or with both the text tower too.", choices=("image", "both")
    )
    temperature: tuple[float, ...] = option(
        1.0, "What the logits are divided by before the divergence.", above=0, per_model=True, shared=True
    )


def bounds_of(text: str, where: str | None = None) -> tuple[float, float]:
    """Return the least and the largest lambda.

    Args:
        text: Two numbers with a comma between them.
        where: Where they were given, for messages.

    Raises:
        UsageError: They are no two numbers, or the first is above the second.
    """
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UsageError(f"bounds must be two numbers such as 0,1, not '{text}'", where=where)
    if low > high:
        raise UsageError(f"the bounds {text} are reversed", where=where, hint=f"write {high:g},{low:g}")
    return low, high


class T3(Rule):
    """Pretrained model and expert, merged per sample by how far they disagree."""

    options = T3Options
    roles = ("pretrained", "expert")
    one_architecture = True

    def check(self, options: T3Options, members: int, place: Callable[[str], str | None]) -> None:
        """Refuse reversed bounds, both towers per sample, and a center without its map."""
        bounds_of(options.bounds, place("bounds"))
        if options.towers == "both" and options.mode == "sample":
            what = "both towers are merged per batch only: the text tower would run for every sample"
            raise UsageError(what, where=place("towers"), hint="give --mode batch, or leave the text tower as it is")
        if options.center and options.map != "centered-sigmoid":
            hint = "give --map centered-sigmoid"
            raise UsageError("center is for the map centered-sigmoid", where=place("center"), hint=hint)

    def evaluate(self, bundle: Bundle, task: Task, settings: Settings) -> dict[str, Outcome]:
        """Evaluate T3 with T3_B, DaWin, constant coefficients, mixed outputs and both members beside it."""
        from ..evaluating.blended import evaluate_blended

        return evaluate_blended(bundle, task, settings)
