"""Add difference: add to one model what a second one has beyond a third.

The name and the order A, B, C are those of the Stable Diffusion community: A gets what B learned from its parent C. It
is arithmetic with one task vector, as studied by Ilharco et al. 2023, "Editing models with task arithmetic",
arXiv:2212.04089, whose base is A here while the task vector is taken from C:

    theta = theta_A + multiplier * (theta_B - theta_C)

    merge add-difference dreamy.safetensors inpainting.safetensors sd-v1-5.safetensors -o dreamy-inpainting.safetensors

Use it to give a model what another one learned from its own parent, such as inpainting or a style, without training. C
must be that parent.

Not where C is any other model: the difference then holds all that separates the two. For several task vectors of one
base take ties or task-arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Context, WeightedSum
from ..options import Options, option


class AddDifferenceOptions(Options):
    """Options of add difference."""

    multiplier: float = option(1.0, "Factor of the difference.")


class AddDifference(WeightedSum):
    """First model plus the difference of the second and the third."""

    options = AddDifferenceOptions
    minimum_models = 3
    maximum_models = 3
    ordered = True
    needs_all = True
    share_option = "multiplier"

    def coefficients(self, options: AddDifferenceOptions, context: Context) -> Sequence[float]:
        """Return the factors of A, B and C."""
        return [1.0, options.multiplier, -options.multiplier]
