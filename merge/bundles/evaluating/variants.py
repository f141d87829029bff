"""Ways to choose how much of the pretrained model each sample gets, and what to compare them with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ...data_use import NO_DATA, UNLABELED
from ..coefficients import DawinOptions as DawinFormula
from ..coefficients import T3Options as T3Formula
from ..coefficients import batch_coefficients, cluster, coefficients, dawin_coefficients, pretrained_weights, summarize
from ..rules import find_rule
from ..rules.dawin import DawinOptions
from ..rules.t3 import T3Options, bounds_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..bundle import Bundle
    from ..coefficients.t3_options import Map

MEAN = "constant at the mean"
GRID = (0.25, 0.5, 0.75)  # 0 and 1 are the members themselves


@dataclass(frozen=True)
class Variant:
    """One way.

    Attributes:
        name: What its row is called; empty for what the bundle itself says.
        weights: Of the pretrained model, for every sample [n].
        label: What it is, for messages and notes.
        data_use: Whether a sample's outcome depends on others that it is evaluated with.
    """

    name: str
    weights: NDArray[np.float64]
    label: str
    data_use: str

    @property
    def extrapolates(self) -> bool:
        """Whether a weight lies beyond the members."""
        return bool(((self.weights < 0) | (self.weights > 1)).any())

    @property
    def note(self) -> str:
        """The range of the weights: does it adapt at all?"""
        beyond = ", beyond the two models" if self.extrapolates else ""
        return self._range() + beyond + ("" if self.name or not beyond else ": there are no mixed outputs")

    def _range(self) -> str:
        found = summarize(self.weights)
        if found["min"] == found["max"]:
            return f"{self.label}: weight of the pretrained model {found['mean']:.4f} for every sample"
        numbers = f"{found['min']:.4f} to {found['max']:.4f}, mean {found['mean']:.4f}"
        spread = f"standard deviation {found['standard_deviation']:.4f}"
        return f"{self.label}: weight of the pretrained model {numbers}, {spread}"


def variants(bundle: Bundle, pretrained: NDArray[Any], expert: NDArray[Any]) -> Iterator[Variant]:
    """Yield the bundle's own way first, then the others.

    Args:
        bundle: Of the rule ``t3`` or ``dawin``.
        pretrained: Logits [n, classes].
        expert: The same of the other member.

    Raises:
        MergeError: Logits are not finite, or of other classes.
    """
    t3 = bundle.options if isinstance(bundle.options, T3Options) else _default("t3")
    dawin = bundle.options if isinstance(bundle.options, DawinOptions) else _default("dawin")
    listed = [
        *_of_t3(t3, pretrained, expert),
        Variant("DaWin", _of_dawin(dawin, bundle.seed, pretrained, expert), "DaWin", UNLABELED),
    ]
    own = _own(bundle)
    main = next(one for one in listed if one.label == own)
    yield Variant("", main.weights, main.label, main.data_use)
    yield from (one for one in listed if one is not main)
    yield from _constants(float(main.weights.mean()), main.weights)


def _default(rule: str) -> Any:
    return find_rule(rule).resolve({}, [{}, {}])


def _own(bundle: Bundle) -> str:
    if not isinstance(bundle.options, T3Options):
        return "DaWin"
    return "T3" if bundle.options.mode == "sample" else "T3_B"


def _of_t3(options: T3Options, pretrained: NDArray[Any], expert: NDArray[Any]) -> Iterator[Variant]:
    first, second = options.temperature
    formula = T3Formula(
        options.gamma,
        bounds_of(options.bounds),
        cast("Map", options.map),
        options.center,
        options.delta,
        options.js_base,
        (first, second),
    )
    lambdas = coefficients(pretrained, expert, formula)
    direction: Any = options.direction
    yield Variant("T3", pretrained_weights(lambdas, direction), "T3", NO_DATA)
    batched = pretrained_weights(batch_coefficients(lambdas, options.batch), direction)
    yield Variant(f"T3_B, batches of {options.batch}", batched, "T3_B", UNLABELED)


def _of_dawin(options: DawinOptions, seed: int, pretrained: NDArray[Any], expert: NDArray[Any]) -> NDArray[np.float64]:
    """Return the weights of the pretrained model, which DaWin states as the expert's."""
    first, second = options.temperature
    formula = DawinFormula((first, second), options.offset)
    shares = dawin_coefficients(pretrained, expert, formula)
    return 1 - cluster(shares, options.clusters, seed=seed).coefficients


def _constants(mean: float, like: NDArray[np.float64]) -> Iterator[Variant]:
    """Yield constant weights: the mean of the bundle's own, which tells whether adapting helps, and a grid."""
    import numpy as np

    yield Variant(MEAN, np.full_like(like, mean), "constant mean", UNLABELED)
    for weight in GRID:
        yield Variant(f"constant {weight:g}", np.full_like(like, weight), "constant", NO_DATA)
