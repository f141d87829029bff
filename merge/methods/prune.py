"""Prune: the smallest entries of a model's matrices and kernels become 0.

Magnitude pruning of single entries (Han et al. 2015, "Learning both weights and connections for efficient neural
networks", arXiv:1506.02626), the first half of a cycle of sparse soups (Zimmer et al. 2023, arXiv:2306.16788):

    theta[p] = 0 for the round(sparsity * n) entries of smallest magnitude

of the n entries of each tensor, or of all pruned tensors together, as in `torch.nn.utils.prune`. Among equal entries
those of the lowest index stay. Entries that are 0 already are the smallest, so that they stay 0. With `pattern` 2:4, at
most 2 of every 4 entries that follow each other along the inputs (the second axis) stay (Mishra et al. 2021,
"Accelerating sparse deep neural networks", arXiv:2104.08378).

Pruned are tensors of two and more axes, heads included. Biases, norms and other vectors stay as they are, and so do
embeddings, told by their names, unless `embeddings` is on; with a pattern, also what it does not divide. What else must
stay is for `--keep`.

Use it to make a model sparse in one step, most of all as the first half of a cycle of sparse soups, with retraining
after it.

Not as the last step: beyond a modest share of the entries a model needs retraining. The file does not get smaller, and
only 2:4 sparsity runs faster, on hardware that knows it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..arithmetic.pruning import Remaining, is_embedding, pattern_mask, read_pattern
from ..errors import UsageError
from ..method import Access, Context, Method
from ..options import Options, option
from ..reduction import Array, Largest, Reduction, Sums

_SPARSITY = 0.5


class PruneOptions(Options):
    """Options of pruning."""

    sparsity: float | None = option(
        None, "Share of the entries that become 0.", minimum=0, maximum=1, default_text="0.5, or what the pattern says"
    )
    scope: str = option(
        "checkpoint", "Rank the entries over all pruned tensors or within each.", choices=("tensor", "checkpoint")
    )
    pattern: str = option("", "So many of so many entries in a row stay, such as 2:4.", default_text="none")
    embeddings: bool = option(False, "Prune embeddings too.")


class Prune(Method):
    """One model, its smallest entries set to 0."""

    options = PruneOptions
    maximum_models = 1
    selective = True

    def check(self, options: PruneOptions, models: int) -> None:
        """Refuse a pattern that is none, or one beside a sparsity."""
        if options.pattern:
            read_pattern(options.pattern)
            if options.sparsity is not None or options.scope == "tensor":
                given = "scope" if options.sparsity is None else "sparsity"
                what = (
                    f"the pattern {options.pattern} says what stays of every few entries, so that {given} means nothing"
                )
                raise UsageError(what, hint="give one of them")

    def leaves(self, name: str, shape: Sequence[int], options: PruneOptions) -> bool:
        """Tell whether a tensor is left as it is."""
        if len(shape) < 2 or (not options.embeddings and is_embedding(name, shape)):
            return True
        return bool(options.pattern) and shape[1] % read_pattern(options.pattern)[1] != 0

    def access(self, options: PruneOptions) -> Access:
        """A pattern runs along the second axis."""
        return "whole" if options.pattern else "flat"

    def reductions(self, options: PruneOptions) -> Sequence[Reduction]:
        """The entries are ranked, unless a pattern does that; zeros are counted before and after."""
        trim = Largest("kept", Remaining(_sparsity(options)), scope=options.scope)  # type: ignore[arg-type]
        ranked = [] if options.pattern else [trim]
        return [*ranked, Sums("zeros", self._zeros, scope="checkpoint")]

    def remarks(self, options: PruneOptions, context: Context) -> Sequence[str]:
        """Return how sparse the pruned tensors are now, and were before."""
        before, after, entries = context.result("zeros")
        shares = f"{after / entries:.1%} of the {entries:,.0f} entries of pruned tensors are 0"
        return [f"prune: {shares}, {before / entries:.1%} were before"]

    def merge(self, arrays: Sequence[Array], options: PruneOptions, context: Context) -> Array:
        """Return one portion with its smallest entries set to 0."""
        (array,) = arrays
        if options.pattern:
            array[~pattern_mask(array, options.pattern, context)] = 0
        elif _sparsity(options) > 0:
            context.keep_largest(array, "kept", 0)
        array += 0  # a negative entry times 0 is -0
        return array

    def _zeros(self, arrays: Sequence[Array], options: PruneOptions, context: Context) -> Sequence[Array]:
        before = arrays[0] == 0
        return [before, self.merge(arrays, options, context) == 0, context.xp.ones_like(before)]


def _sparsity(options: PruneOptions) -> float:
    return _SPARSITY if options.sparsity is None else options.sparsity
