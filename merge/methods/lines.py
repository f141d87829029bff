r"""LiNeS: scale a task vector layer by layer, little in the first blocks, fully in the last.

Wang et al. 2024, "LiNeS: post-training layer scaling prevents forgetting and enhances model merging",
arXiv:2410.17146, equation 3. For block l of L, and for what is outside every block:

    theta = theta_0 + scale(l) * tau,    scale(l) = alpha + beta (l - 1) / (L - 1),    scale(outside) = alpha

tau is the task vector of one tuned model, or, under `then:`, that of any merged model. Blocks are known by their names
in open_clip, CLIP, SigLIP, ViT, timm, BERT, GPT-2, T5, Llama-like models and the diffusion models' U-Nets; L is
counted from the names, in each stack (tower, encoder, decoder) by itself, and a stack of one block has the scale
alpha + beta. `pattern` names the blocks of other architectures, e.g. ``trunk\.(\d+)\.``.

As in the authors' code, tensors after the last block (final norm, projection, head) have the scale alpha;
`post_blocks` ``top`` gives them alpha + beta. `alpha` ``auto``, under `then:`, is the paper's for several models:

    alpha = (1 / T) ||sum_t tau_t||_1 / ||tau||_1

over all merged tensors, with the models' untrimmed task vectors tau_t; beta is then the coefficient to choose. A
merge followed by LiNeS has no scale of its own.

Use it to keep what the base knew: it shrinks the changes of the first blocks, where general features are, and keeps
those of the last. As a step under `then:` it does so for a merge.

Not for models without a stack of blocks, or whose task changes the first ones most, such as another kind of input. Beta
is to be chosen on held-out data.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError
from ..method import Context, WeightedSum
from ..options import Options, option
from ..reduction import Array, Sums


class LinesOptions(Options):
    """Options of LiNeS."""

    alpha: float | str = option(0.1, "Scale of the first block and of what is outside the blocks.", words=("auto",))
    beta: float | None = option(
        None, "What is added to alpha up to the last block.", default_text="1 - alpha; must be given with alpha auto"
    )
    post_blocks: str = option(
        "alpha", "Scale of tensors after the last block: as the first or as the last.", choices=("alpha", "top")
    )
    pattern: str = option("", "Regular expression whose one group is a block's number.", default_text="by architecture")


class Lines(WeightedSum):
    """A task vector scaled up linearly over depth."""

    options = LinesOptions
    takes = "task_vectors"
    maximum_models = 1
    modifier = True
    uses_place = True

    def check(self, options: LinesOptions, models: int) -> None:
        """Refuse an automatic alpha without a beta, or for one model."""
        if options.alpha == "auto" and models < 2:
            raise UsageError("alpha auto compares several models", hint="use it under then:, after a merge of several")
        if options.alpha == "auto" and options.beta is None:
            raise UsageError("lines with alpha auto needs beta", hint="beta is then the coefficient of the task vector")

    def reductions(self, options: LinesOptions) -> Sequence[Sums]:
        """An automatic alpha needs two norms over the checkpoint."""
        return [Sums("norms", self._magnitudes, scope="checkpoint")] if options.alpha == "auto" else []

    def remarks(self, options: LinesOptions, context: Context) -> Sequence[str]:
        """Tell the alpha that was found."""
        return [f"lines: alpha auto is {self._alpha(options, context):.6g}"]

    def coefficients(self, options: LinesOptions, context: Context) -> Sequence[float]:
        """Return the scale of this tensor's block."""
        alpha, place = self._alpha(options, context), context.place
        beta = 1 - alpha if options.beta is None else options.beta
        top = place.after and options.post_blocks == "top"
        return [alpha + beta * (1.0 if top else place.depth or 0.0)]

    @staticmethod
    def _alpha(options: LinesOptions, context: Context) -> float:
        if not isinstance(options.alpha, str):
            return options.alpha
        merged, averaged = context.result("norms")
        return float(averaged / merged) if merged else 0.0

    @staticmethod
    def _magnitudes(arrays: Sequence[Array], options: LinesOptions, context: Context) -> Sequence[Array]:
        merged, *task_vectors = arrays
        average = sum(task_vectors[1:], task_vectors[0]) / len(task_vectors)
        return [context.xp.abs(merged), context.xp.abs(average)]
