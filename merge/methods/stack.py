"""Stack: layers of several models on top of each other, as one deeper or shallower model.

There is no paper: such models are known as passthrough merges or "frankenmerges", described with mergekit (Goddard et
al. 2024, "Arcee's MergeKit: a toolkit for merging large language models", arXiv:2403.13257); Kim et al. 2023, "SOLAR
10.7B", arXiv:2312.15166, stack a model onto a copy of itself. With n_i layers taken from model i, from a_i on:

    theta[layer n_1 + ... + n_(i-1) + j] = theta_i[layer a_i + j],    j < n_i

What comes before the layers is the first model's, what comes after them the last model's. Nothing is computed: a model
of the stack may itself be a merge, of which those layers are taken.

Use it to make a deeper model as a start for further training, or a shallower one by leaving layers out.

Not as a finished model without a test: layers meet inputs that they were never trained on, and such models are mostly
worse until they are trained further. Memory and time grow with the layers.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Context, Method
from ..options import Options, option
from ..reduction import Array


class StackOptions(Options):
    """Options of stacking."""

    layer_range: tuple[str, ...] = option(
        ":", "Layers that are taken, first:last, the last one excluded; all by default.", per_model=True
    )
    stack: str = option("", "What stands in front of the layers' numbers, where a model has several stacks.")


class Stack(Method):
    """Layers of several models, one above the other."""

    options = StackOptions
    assembles = True
    ordered = True

    def merge(self, arrays: Sequence[Array], options: StackOptions, context: Context) -> Array:
        """Return the tensor of the one model that it is taken from."""
        return arrays[0]
