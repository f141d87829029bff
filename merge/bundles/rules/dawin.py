r"""DaWin: merge by the ratio of two models' entropies, in a few merges per batch.

Oh et al. 2024, "DaWin: training-free dynamic weight interpolation for robust adaptation", arXiv:2410.03782. With H_0
and H_1 the entropies of the outputs of the pretrained model and of the expert, the expert's share of a sample is

    a(x) = exp(-H_1(x)) / (exp(-H_0(x)) + exp(-H_1(x)))

moved by an `offset` that the two models' entropies over the whole of the data give. A mixture of Beta distributions
sorts all samples into `clusters`; each is merged once, with its mean. So the outcome for one sample depends on which
others it is evaluated with (transductive).

Use it for a pretrained classifier and an expert, where shifted and ordinary samples come mixed and no labels tell them
apart. Compare it with its constant, which `merge eval` shows beside it.

Not for single samples as they come: it looks at the whole data set first. It costs about three forward passes and needs
both checkpoints at hand; confident mistakes mislead it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...options import Options, option
from ..rule import Rule

if TYPE_CHECKING:
    from ...evaluation.outcome import Outcome
    from ...evaluation.task import Settings, Task
    from ..bundle import Bundle


class DawinOptions(Options):
    """Options of DaWin."""

    offset: bool = option(True, "Move the shares by the models' mean entropies over all of the data.")
    clusters: int = option(3, "How many merges there are: one for each cluster of samples.", minimum=1)
    temperature: tuple[float, ...] = option(
        1.0, "What the logits are divided by before the entropy.", above=0, per_model=True, shared=True
    )


class Dawin(Rule):
    """Pretrained model and expert, merged by the ratio of their entropies."""

    options = DawinOptions
    roles = ("pretrained", "expert")
    one_architecture = True
    seeded = True
    data_use = "unlabeled"

    def evaluate(self, bundle: Bundle, task: Task, settings: Settings) -> dict[str, Outcome]:
        """Evaluate DaWin with T3, T3_B, constant coefficients, mixed outputs and both members beside it."""
        from ..evaluating.blended import evaluate_blended

        return evaluate_blended(bundle, task, settings)
