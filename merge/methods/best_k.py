"""Best k: the plain average of the checkpoints that scored best.

Vaswani et al. 2017, "Attention is all you need", arXiv:1706.03762, section 6.1, average the last checkpoints of a run;
here those with the best scores on held-out data are taken, as speech toolkits do:

    theta = 1/k sum_{i in B} theta_i,    B = the k models with the best scores, the earlier given first among equals

Every checkpoint is scored before the merge, by the training run or by `merge eval`; nothing is evaluated here. Scores
from the data that the outcome is reported on make that report too good.

The checkpoints of a Hugging Face trainer are folders with a step in their name, and are given as they are, with what
`trainer_state.json` says of each; `--better lower` is for losses:

    merge best-k checkpoint-1000 checkpoint-2000 checkpoint-3000 --scores 0.81,0.84,0.83 --count 2 -o averaged
"""

from __future__ import annotations

from collections.abc import Sequence

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

    def coefficients(self, options: BestKOptions, context: Context) -> Sequence[float]:
        """Return the same share for the best and 0 for the others."""
        sign = -1 if options.better == "higher" else 1
        models = range(len(options.score))
        count = min(USUAL_COUNT, len(models)) if options.count is None else options.count
        best = sorted(models, key=lambda model: sign * options.score[model])[:count]  # equal ones keep their order
        return [1 / count if model in best else 0.0 for model in models]
