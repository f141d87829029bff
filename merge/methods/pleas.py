r"""PLeaS: units of two models that are alike become one, the others stay side by side in a wider network.

Nasery, Hayase, Koh and Oh 2024, "PLeaS: merging models with permutations and least squares", arXiv:2407.02447. Units
are matched as in Git Re-Basin. Of every matched pair that is merged, the wide network has one unit; of one that stays
apart it has two, so that a group of n units of which k pairs stay apart has n + k. With z = [z_1; z_2] the inputs of a
matrix in both models over the same data, G the mean of z z^T, and S and U what merging does to inputs and outputs (half
of each of the pair; a unit of its own as it is), the matrix of the wide network is the one nearest to what both do:

    W = (U [W_1 0; 0 W_2] G S^T) (S G S^T + ridge)^-1

with a ridge that pulls towards the plain average. Rows of one model's own units read merged units and that model's own,
no others. A budget of 0 merges all pairs; at 1, the wide network is both models, and gives what they give. Units that
cannot be widened stay merged: those that a norm sees together, and attention heads.

Use it for two models from different starts, or of different tasks, that lose too much when they become one of their own
size, and where a somewhat wider network can be run.

Not for two models tuned from one base, for which an average is free; nor where the architecture must stay as it is. It
needs data of the tasks, or at least inputs like them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..method import Access, Context, Method
from ..options import Options, option
from ..partial.allocation import ALLOCATIONS
from ..partial.declared import JointCalibration
from ..partial.heads import HEADS
from ..partial.widening import RIDGE
from ..reduction import Array


class PleasOptions(Options):
    """Options of PLeaS."""

    budget: float = option(
        0.5, "Share of the matched units that stay apart: at 0 all are merged, at 1 none.", minimum=0, maximum=1
    )
    allocation: str = option(
        "quantile",
        "How groups share the budget: alike, by one threshold of similarity, or by the parameters that it costs.",
        choices=ALLOCATIONS,
    )
    heads: str = option(
        "auto",
        "The outputs: averaged, or the first model's before the second's; auto: apart where their numbers differ.",
        choices=HEADS,
    )
    ridge: float | str = option(
        RIDGE,
        "Pull of merged weights to the plain average, by the inputs' mean square; infinite: no least squares.",
        minimum=0,
        words=("infinite",),
    )


class Pleas(Method):
    """Two models in one wider network: like units are merged, the others stay apart."""

    options = PleasOptions
    statistics = "joint"
    calibration = JointCalibration
    widens = True
    data_use = "unlabeled"
    minimum_models = 2
    maximum_models = 2
    ordered = True
    needs_all = True

    def access(self, options: PleasOptions) -> Access:
        """Tensors of the wide network are computed as a whole."""
        return "whole"

    def merge(self, arrays: Sequence[Array], options: Any, context: Context) -> Array:
        """Return the wide network's tensor, which was computed when it was read."""
        return arrays[0]
