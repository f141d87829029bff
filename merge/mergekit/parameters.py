"""What mergekit calls the parameters of a method, and which options of ours they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import UsageError

Kind = Literal["number", "whole number", "switch"]
REQUIRED: Any = object()  # the default of a parameter without one
_SWITCHES = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method of mergekit.

    Attributes:
        name: mergekit's name.
        option: Our name of the option that it sets; empty where it does nothing, in mergekit neither.
        default: mergekit's default; `REQUIRED` where there is none.
        per_model: Whether every model has its own value.
        kind: What its values are.
        becomes: Turns a value into that of the option.
    """

    name: str
    option: str
    default: Any = REQUIRED
    per_model: bool = False
    kind: Kind = "number"
    becomes: Callable[[Any], Any] = lambda value: value

    def scalar(self, value: object, where: str) -> Any:
        """Return one value in the parameter's type; as mergekit, take texts such as ``1e-5`` and ``yes`` for it.

        Raises:
            UsageError: It is nothing of the kind.
        """
        found = _switch(value) if self.kind == "switch" else _number(value, whole=self.kind == "whole number")
        if found is None:
            kind = {"switch": "true or false"}.get(self.kind, f"a {self.kind}")
            raise UsageError(f"'{self.name}' must be {kind}, not {value!r}", where=where)
        return found


def _switch(value: object) -> bool | None:
    text = str(int(value)) if isinstance(value, int | float) and value in {0, 1} else str(value).lower()
    return _SWITCHES.get(text)


def _number(value: object, *, whole: bool) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not abs(number) < float("inf"):
        return None
    if whole:
        return int(number) if number.is_integer() else None
    return number
