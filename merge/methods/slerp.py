"""SLERP: walk from one model to another along the arc between their directions.

Shoemake 1985, "Animating rotation with quaternion curves", SIGGRAPH 19(3), section 3.3; for weights e.g. Goddard et al.
2024, arXiv:2403.13257, section 3.2. Tensor by tensor, with the angle Omega between the flattened tensors:

    theta = sin((1 - t) Omega) / sin(Omega) theta_1 + sin(t Omega) / sin(Omega) theta_2

applied to the tensors as they are, not to their directions. Where they are almost parallel, |cos(Omega)| > 0.9995, or
one of them is 0, the straight line (1 - t) theta_1 + t theta_2 is taken.

Use it for exactly two models, to walk from one to the other at full length; `t` by layers gives each block its own
mixture.

Not for more than two models (karcher, multislerp), and not in the hope of much for two that were tuned from one base:
they are almost parallel, and the arc is nearly the straight line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..arithmetic.sphere import cosine
from ..method import Context, WeightedSum
from ..options import Options, option
from ..reduction import Gram

ALMOST_PARALLEL = 0.9995


class SlerpOptions(Options):
    """Options of SLERP."""

    t: float = option(0.5, "How far from the first model to the second.", minimum=0, maximum=1)


class Slerp(WeightedSum):
    """Spherical interpolation between two models."""

    options = SlerpOptions
    minimum_models = 2
    maximum_models = 2
    ordered = True
    needs_all = True
    share_option = "t"

    def shares(self, options: SlerpOptions) -> Sequence[float]:
        """Statistics lie on the straight line."""
        return [1 - options.t, options.t]

    def reductions(self, options: SlerpOptions) -> Sequence[Gram]:
        """Lengths and angle come from the inner products."""
        return [Gram("gram")]

    def coefficients(self, options: SlerpOptions, context: Context) -> Sequence[float]:
        """Return the factors of the two models."""
        t, cos = options.t, cosine(context.result("gram"), 0, 1)
        if abs(cos) > ALMOST_PARALLEL:
            return [1 - t, t]
        angle = math.acos(cos)
        return [math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)]
