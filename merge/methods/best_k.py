"""Best k: the plain average of the checkpoints that scored best.

Vaswani et al. 2017, "Attention is all you need", arXiv:1706.03762, section 6.1, average the last checkpoints of a run;
here those with the best scores on held-out data are taken, as speech toolkits do:

    theta = 1/k sum_{i in B} theta_i,    B = the k models with the best scores, the earlier given first among equals

Every checkpoint is scored before the merge, by the training run or by `merge eval`; nothing is evaluated here. Scores
from the data that the outcome is reported on make that report too good.

The checkpoints of a Hugging Face trainer are folders with a step in their name, and are given as they are, with what
`trainer_state.json` says of each; `--better lower` is for losses:

    merge best-k checkpoint-1000 checkpoint-2000 checkpoint-3000 --scores 0.81,0.84,0.83 --count 2 -o averaged

Use it on the checkpoints of one run whose scores on held-out data are known already: it takes a few of them and costs
no evaluation.

Not with scores of training data or of the test set. Where models differ in more than their step, a greedy soup looks at
what each of them adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import UsageError
from ..method import Context, WeightedSum
from ..options import REQUIRED, Options, option

USUAL_COUNT = 3


class BestKOptions(Options):
    """Options of the average of the best."""

    score: tuple[float, ...] = option(REQUIRED, "How good each model is, on held-out data.", per_model=True)
    count: int | None = option(
        None, "How many models to average.", minimum=1, default_text=f"{USUAL_COUNT}, or all of fewer models"
    )
    better: str = option("higher", "Whether a higher or a lower score is better.", choices=("higher", "lower"))


class BestK(WeightedSum):
    """Average of the checkpoints with the best scores."""

    options = BestKOptions
    minimum_models = 2
    data_use = "held-out"

    def check(self, options: BestKOptions, models: int) -> None:
        """Refuse to take more models than there are."""
        if options.count is not None and options.count > models:
            raise UsageError(f"count is {options.count}, but there are {models} models", hint=f"at most {models}")

    def for_present(self, options: BestKOptions, present: Sequence[int]) -> BestKOptions:
        """Average those of the best that have the tensor; one that is worse does not take the place of a better one."""
        count = len(set(_best(options)) & set(present))
        if not count:
            raise UsageError("none of the best models has it", hint="choose base or skip instead of average-present")
        return replace(options, count=count)  # the best of those present are then the same

    def coefficients(self, options: BestKOptions, context: Context) -> Sequence[float]:
        """Return the factor of each model."""
        return self.shares(options)

    def shares(self, options: BestKOptions) -> Sequence[float]:
        """Return the same share for the best and 0 for the others."""
        best = _best(options)
        return [1 / len(best) if model in best else 0.0 for model in range(len(options.score))]


def _best(options: BestKOptions) -> list[int]:
    """Return the positions of the models to average; equal ones keep their order."""
    sign = -1 if options.better == "higher" else 1
    ordered = sorted(range(len(options.score)), key=lambda model: sign * options.score[model])
    return ordered[: USUAL_COUNT if options.count is None else options.count]
