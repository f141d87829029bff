"""Join: one checkpoint whose parts come from different models, by the names of tensors.

There is no paper: this is how a vision tower, a decoder or an autoencoder is exchanged, and how the modules of one
model are merged in different ways, as in mergekit (Goddard et al. 2024, arXiv:2403.13257). Every tensor is taken from
the first model that has it and whose pattern fits its name:

    theta[name] = theta_i[name],    i = min {i : name fits match_i}

Nothing is computed: a model may itself be a merge, of which those tensors are taken.

Use it to exchange a part, such as a vision tower or an autoencoder, or to merge the parts of a model in different ways.

Not to improve a model: nothing is averaged, and parts that were never trained together may not understand each other.
What fits in shape need not fit in meaning: evaluate it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Context, Method
from ..options import Options, option
from ..reduction import Array


class JoinOptions(Options):
    """Options of joining."""

    match: tuple[str, ...] = option(
        "*", "Tensors that are taken: a glob, or a regular expression between slashes.", per_model=True
    )


class Join(Method):
    """Tensors of several models side by side."""

    options = JoinOptions
    assembles = True
    ordered = True

    def merge(self, arrays: Sequence[Array], options: JoinOptions, context: Context) -> Array:
        """Return the tensor of the one model that it is taken from."""
        return arrays[0]
