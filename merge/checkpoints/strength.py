"""How much of an adapter is baked in: the number after the last `=` of `BASE+ADAPTER=0.8`."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from ..errors import UsageError

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_END = re.compile(rf"=({_NUMBER})(?::({_NUMBER}))?$")


class Strength(NamedTuple):
    """Factors of what an adapter does: 0 is the base, 1 the adapter as it was trained; others are between or beyond.

    Attributes:
        model: Of all that is no text encoder.
        text: Of text encoders.
    """

    model: float = 1.0
    text: float = 1.0


FULL = Strength()


def without_strength(text: str) -> tuple[str, str]:
    """Split a location at the strength that it ends with; what follows ``?`` in a URL ends with none.

    Returns:
        The location, and the rest from ``=`` on; empty where there is none.
    """
    found = _END.search(text)
    if found is None or found.start() == 0 or ("://" in text and "?" in text):
        return text, ""
    return text[: found.start()], found[0]


def read_strength(text: str, where: str) -> Strength:
    """Read ``=0.8``, or ``=0.8:0.4`` where text encoders differ; all of it where the text is empty.

    Raises:
        UsageError: It is not finite.
    """
    if not text:
        return FULL
    numbers = [float(number) for number in text.removeprefix("=").split(":")]
    if not all(map(math.isfinite, numbers)):
        raise UsageError(f"the strength '{text[1:]}' is not finite", where=where)
    return Strength(numbers[0], numbers[-1])
