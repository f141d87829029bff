"""Options of a method, declared once: the source of flags, recipe keys, validation, JSON Schema and docs.

A declaration is a frozen dataclass whose fields are made by `option`::

    class TiesOptions(Options):
        density: float = option(0.2, "Share of each task vector that is kept.", above=0, maximum=1)

The type of a field is its annotation: bool, int, float or str; ``float | str`` is a number or one of its `words`,
and ``float | None`` a number that the method works out where none is given. An option with ``per_model=True`` holds
one value per model, in the order of the models, once it is resolved.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, dataclass_transform, get_args, get_type_hints

from .errors import UsageError, suggest

Scalar = bool | int | float | str
REQUIRED: Any = object()  # the default of an option that must be given


@dataclasses.dataclass(frozen=True)
class Declaration:
    """Everything that is known of one option; see `option` for the meaning of the fields."""

    name: str
    type: type
    default: Any
    help: str
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    per_model: bool = False
    shared: bool = False
    default_text: str | None = None

    @property
    def flag(self) -> str:
        """The flag's name; a flag that always lists the values of all models is a plural."""
        plural = "es" if self.name.endswith(("ch", "sh", "x")) else "s"
        return "--" + self.name.replace("_", "-") + (plural if self.per_model and not self.shared else "")

    @property
    def shown_default(self) -> str:
        """The default in words, for help and docs."""
        if self.default is REQUIRED:
            return "none, it must be given"
        text = str(self.default_text or self.default)
        return text.lower() if self.type is bool else text

    @property
    def range(self) -> str:
        """The allowed values in words, or an empty string."""
        if self.choices:
            return ", ".join(self.choices)
        low = f"> {self.above:g}" if self.above is not None else None
        low = low or (f">= {self.minimum:g}" if self.minimum is not None else None)
        high = f"<= {self.maximum:g}" if self.maximum is not None else None
        limits = " and ".join(part for part in (low, high) if part)
        return " or ".join((limits or "a number", *self.words)) if self.words else limits

    def check(self, value: object, where: str | None = None) -> Scalar:
        """Return the value in the option's type.

        Raises:
            UsageError: When it is of another type, not finite, or out of range.
        """
        if isinstance(value, str) and value in self.words:
            return value
        converted = self._convert(value)
        if converted is None:
            kind = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}[self.type]
            raise UsageError(f"{self.name} must be {' or '.join((kind, *self.words))}, not {value!r}", where=where)
        if self.choices and converted not in self.choices:
            hint = suggest(str(converted), self.choices)
            raise UsageError(f"{self.name} must be one of {self.range}, not '{converted}'", where=where, hint=hint)
        if not isinstance(converted, str) and not self._in_range(converted):
            limits = self.range or "finite"
            raise UsageError(f"{self.name} must be {limits}, not {converted}", where=where)
        return converted

    def _convert(self, value: object) -> Scalar | None:
        if self.type is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
            return _as_float(value)  # numpy's numbers as well
        if self.type is int and isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, bool) is not (self.type is bool):
            return None
        return value if isinstance(value, bool | int | float | str) and isinstance(value, self.type) else None

    def _in_range(self, value: float) -> bool:
        return (
            (isinstance(value, int) or math.isfinite(value))
            and (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
        )

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of one value, a list of numbers standing for an interpolation over depth."""
        kind = {bool: "boolean", int: "integer", float: "number", str: "string"}[self.type]
        limits = {"minimum": self.minimum, "maximum": self.maximum, "exclusiveMinimum": self.above}
        one: dict[str, Any] = {"type": kind} | {key: limit for key, limit in limits.items() if limit is not None}
        if self.choices:
            one["enum"] = list(self.choices)
        listed = {"type": "array", "items": one, "minItems": 2}
        words = [{"enum": list(self.words)}] if self.words else []
        found = {"anyOf": [one, listed, *words]} if self.type is float else one
        return found | {"description": f"{self.help} Default: {self.shown_default}."}


def _as_float(value: numbers.Real) -> float:
    """Return a number as a float; infinity for a whole number beyond the largest, which no option takes."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def option(
    default: Scalar | Callable[[int], float] | None,
    help: str,  # noqa: A002 - the word that argparse, click and typer use
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    choices: Sequence[str] = (),
    words: Sequence[str] = (),
    per_model: bool = False,
    shared: bool = False,
    default_text: str | None = None,
) -> Any:
    """Declare one option.

    Args:
        default: The value when nothing is given; `REQUIRED` where something must be. A per-model option may give a
            function of the count of models.
        help: One sentence for flag help, schema and docs.
        minimum: Smallest allowed value.
        maximum: Largest allowed value.
        above: Exclusive lower bound.
        choices: The allowed words of a `str`.
        words: Words that a number may be instead.
        per_model: One value per model: written beside ``model:`` in a recipe, as a plural list flag in a shell.
        shared: A per-model option that may also be given once for all models: under ``options:``, or as a flag with
            one value.
        default_text: The default in words, where its value does not say enough.
    """
    facts = {"help": help, "minimum": minimum, "maximum": maximum, "above": above, "choices": tuple(choices)}
    facts |= {"words": tuple(words), "per_model": per_model, "shared": shared, "default_text": default_text}
    return dataclasses.field(default=default, metadata=facts)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(option,))
class Options:
    """Base of every declaration of options; subclasses become frozen dataclasses."""

    declarations: ClassVar[dict[str, Declaration]] = {}

    def __init_subclass__(cls) -> None:
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        types = get_type_hints(cls)
        cls.declarations = {
            field.name: Declaration(field.name, _scalar_type(types[field.name], field), field.default, **field.metadata)
            for field in dataclasses.fields(cls)  # type: ignore[arg-type]
        }


def _scalar_type(annotation: Any, field: dataclasses.Field[Any]) -> type:
    kind = next(iter(get_args(annotation)), annotation)
    if kind not in {bool, int, float, str}:
        raise TypeError(f"option '{field.name}' must be bool, int, float or str, not {kind}")
    return kind  # type: ignore[no-any-return]


def check_name(name: str, known: Mapping[str, Declaration], method: str, where: str | None) -> None:
    """Refuse an option that the method does not have.

    Raises:
        UsageError: With a suggestion.
    """
    if name not in known:
        hint = suggest(name, known) or f"{method} has {', '.join(known) or 'no options'}"
        raise UsageError(f"{method} has no option '{name}'", where=where, hint=hint)
