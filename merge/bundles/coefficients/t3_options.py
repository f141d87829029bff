"""The options of T3 and T3_B, checked when they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from ...errors import UsageError, suggest
from .divergence import BASES
from .logits import EXPERT, PRETRAINED, check_temperature

Map = Literal["sigmoid", "linear", "centered-sigmoid"]
Direction = Literal["defer", "expert"]
GAMMA = 0.5


@dataclass(frozen=True)
class T3Options:
    """How a divergence becomes a coefficient.

    Attributes:
        gamma: Slope of the sigmoids; ``linear`` has none and leaves it aside.
        bounds: Lowest and highest coefficient.
        map: ``sigmoid`` as published, ``linear`` in JS / ln 2, or ``centered-sigmoid``, whose middle is at ``tau``.
        tau: The divergence at which ``centered-sigmoid`` is half way, in units of ``base``.
        delta: Widens both bounds by this much; the coefficients then extrapolate beyond 0 and 1.
        base: Of the divergence's logarithm: ``e`` or ``2``.
        temperatures: What the logits of the pretrained model and of the expert are divided by.

    Raises:
        UsageError: An option is unknown, not finite, or the bounds are reversed.
    """

    gamma: float = GAMMA
    bounds: tuple[float, float] = (0.0, 1.0)
    map: Map = "sigmoid"
    tau: float = 0.0
    delta: float = 0.0
    base: str = "e"
    temperatures: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        check_choice("map", self.map, get_args(Map))
        check_choice("base", self.base, BASES)
        _check_numbers(self)
        for name, temperature in zip((PRETRAINED, EXPERT), self.temperatures, strict=True):
            check_temperature(temperature, name)

    @property
    def range(self) -> tuple[float, float]:
        """The bounds, widened."""
        low, high = self.bounds
        return low - self.delta, high + self.delta


def check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise UsageError unless a value is one of those known."""
    if value not in known:
        hint = suggest(value, known) or f"there is {', '.join(known)}"
        raise UsageError(f"no {name} called '{value}'", hint=hint)


def _check_numbers(options: T3Options) -> None:
    low, high = options.bounds
    numbers = {"gamma": options.gamma, "tau": options.tau, "delta": options.delta, "bounds": low, "bounds ": high}
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise UsageError(f"{name.strip()} must be finite, not {number}")
    if options.gamma < 0:
        raise UsageError(f"gamma must not be below 0, not {options.gamma}", hint="direction 'expert' turns T3 around")
    if low > high:
        raise UsageError(f"the bounds are reversed: {low} is above {high}", hint="direction 'expert' turns T3 around")
    if low - options.delta > high + options.delta:
        raise UsageError(f"delta {options.delta} narrows the bounds {low}, {high} to nothing")
    if options.tau and options.map != "centered-sigmoid":
        raise UsageError(f"tau means nothing for the map '{options.map}'", hint="it is for centered-sigmoid")
