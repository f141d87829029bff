r"""Fisher-weighted averaging: where the models differ, the one that depends more on an entry counts more.

Matena and Raffel 2021, "Merging models with Fisher-weighted averaging", arXiv:2111.09832, equation 4. With F_i the
diagonal Fisher information of model i, entry by entry:

    theta = sum_i w_i d_i theta_i / sum_i w_i d_i,    w_i = weight_i / ||F_i||_2,    d_i = max(F_i, floor)

As in the authors' code, the norm runs over all merged tensors and over the Fisher information before the floor, and
only that of the target, the first model, has a floor. So where no model depends on an entry, the target's value stays,
as where the sum of the weights is 0. The preset ``wiseft`` is that of Wortsman et al. 2021, arXiv:2109.01903:
a floor of 1e-8 for all models, and no norms. Tensors without Fisher information in any file are averaged with the
weights themselves.

Use it for models of one start, with some hundred unlabeled items of each task: one pass with gradients per model.

Not where a plain average does as well (docs/quality.md: it gains on pairs and loses on four tasks).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..arithmetic.consensus import weighted_sum
from ..arithmetic.importance import floored, importance_average
from ..calibration.declared import FisherCalibration
from ..errors import UsageError
from ..method import Context, Method
from ..options import Options, option
from ..reduction import Array, Sums


class _Rule(NamedTuple):
    floor: float
    floor_on: str
    normalize: bool


_PRESETS = {"matena": _Rule(1e-6, "target", True), "wiseft": _Rule(1e-8, "all", False)}


class FisherOptions(Options):
    """Options of Fisher-weighted averaging."""

    weight: tuple[float, ...] = option(
        lambda models: 1 / models, "How much each model counts.", minimum=0, per_model=True, default_text="1 / models"
    )
    preset: str = option("matena", "Whose floor and norm count where they are not given.", choices=tuple(_PRESETS))
    floor: float | None = option(None, "Least Fisher information.", minimum=0, default_text="1e-6; wiseft: 1e-8")
    floor_on: str = option(
        "preset",
        "Whose has a floor; after-norm: the target's, divided by its norm.",
        choices=("preset", "target", "all", "after-norm"),
        default_text="target; wiseft: all",
    )
    normalize: bool | None = option(
        None, "Divide by each model's L2 norm over all merged tensors.", default_text="on; wiseft: off"
    )
    power: float = option(1.0, "Power to which Fisher information is raised; below 1 is softer.", above=0)


class Fisher(Method):
    """Average weighted by how much each model depends on each entry."""

    options = FisherOptions
    statistics = "fisher"
    calibration = FisherCalibration
    data_use = "unlabeled"
    minimum_models = 2
    ordered = True
    needs_all = True
    strategies = ("coefficients",)

    def check(self, options: FisherOptions, models: int) -> None:
        """Refuse weights of which nothing is left, and a floor after norms that are not taken."""
        if not any(options.weight):
            raise UsageError("all weights are 0", hint="give at least one model a weight above 0")
        rule = _rule(options)
        if rule.floor_on == "after-norm" and not rule.normalize:
            raise UsageError("the floor is to act after norms that are not taken", hint="give --normalize")

    def reductions(self, options: FisherOptions) -> Sequence[Sums]:
        """Return the squares for the norms over the checkpoint."""
        return [Sums("squares", _squares, scope="checkpoint")] if _rule(options).normalize else []

    def merge(self, arrays: Sequence[Array], options: FisherOptions, context: Context) -> Array:
        """Return the weighted average of one portion."""
        if not context.has_statistics:
            return weighted_sum(arrays, options.weight, normalize=False)
        rule, norms = _rule(options), [1.0] * len(arrays)
        if rule.normalize:
            norms = [float(square) ** 0.5 or 1.0 for square in context.result("squares")]
        factors = (
            weight * floored(_information(number, options, context), norm, *rule[:2], number == 0, context.xp)
            for number, (weight, norm) in enumerate(zip(options.weight, norms, strict=True))
        )
        return importance_average(zip(arrays, factors, strict=True), context.xp)


def _rule(options: FisherOptions) -> _Rule:
    """Return the preset with what was given in its place."""
    floor, floor_on, normalize = _PRESETS[options.preset]
    return _Rule(
        floor if options.floor is None else options.floor,
        floor_on if options.floor_on == "preset" else options.floor_on,
        normalize if options.normalize is None else options.normalize,
    )


def _information(number: int, options: FisherOptions, context: Context) -> Array:
    """Return a model's Fisher information, raised to its power."""
    found = context.statistic(number)
    return found if options.power == 1 else found**options.power


def _squares(arrays: Sequence[Array], options: FisherOptions, context: Context) -> Sequence[Array]:
    """Return the squared Fisher information of each model; tied tensors, of which it is one, count once."""
    if not context.has_statistics or not context.is_counted:
        return [context.xp.zeros_like(array) for array in arrays]
    return [_information(number, options, context) ** 2 for number in range(len(arrays))]
