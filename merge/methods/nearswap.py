"""Nearswap: move the base towards another model, by no more than a fixed distance per entry.

There is no paper: the idea is Alchemonaut's, published with the model QuartetAnemoi-70B-t0.0001 (2024) on the Hugging
Face Hub; mergekit (Goddard et al. 2024, arXiv:2403.13257) carries it. With d = theta_1 - theta_0, entry by entry:

    k     = min(1, t / |d|)
    theta = (1 - k) theta_0 + k theta_1 = theta_0 + min(max(d, -t), t)

Entries closer than t are swapped for the other model's, those further away move by t. A t of 0 gives the base.

Use it to let one model colour another lightly: entries that are near already follow it, and none moves by more than t.

Not to combine skills: large changes, in which skills mostly lie, are cut to t. A good t depends on the size of the
weights and must be tried; evaluate it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..method import Context, Method
from ..options import Options, option
from ..reduction import Array


class NearswapOptions(Options):
    """Options of nearswap."""

    t: float = option(0.0001, "Distance up to which an entry follows the other model.", minimum=0)


class Nearswap(Method):
    """The base, each entry moved towards another model by at most t."""

    options = NearswapOptions
    takes = "task_vectors"
    maximum_models = 1

    def merge(self, arrays: Sequence[Array], options: NearswapOptions, context: Context) -> Array:
        """Return the task vector, cut off at -t and t."""
        return context.xp.clip(arrays[0], -options.t, options.t)
