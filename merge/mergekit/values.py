"""The options of one kind of tensor: from the parameters that count for it to our options for all models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import UsageError
from ..planning.depth import interpolate
from .parameters import REQUIRED, Parameter
from .request import Member, Request
from .settings import Choice, Settings


class Seen(NamedTuple):
    """What decides which values count for a tensor.

    Attributes:
        shared: Those filters of the recipe that its name in the output holds.
        models: Those that its name in each model holds.
        depth: Where its layer lies, from 0 to 1; None outside the layers, where the first value of a list counts.
        example: The name of such a tensor.
    """

    shared: frozenset[str]
    models: tuple[frozenset[str], ...]
    depth: float | None
    example: str


class Value(NamedTuple):
    """The value of an option, and where it stands."""

    value: Any
    where: str


Values = dict[str, Value]


class Resolved(NamedTuple):
    """Our options for one kind of tensor: those of the method, and those of every model."""

    shared: Values
    models: tuple[Values, ...]


def resolve(request: Request, seen: Seen) -> Resolved:
    """Return our options for one kind of tensor.

    Raises:
        UsageError: A parameter without a default has no value there.
    """
    parameters = [parameter for parameter in request.known.parameters if parameter.option]
    shared = {one.option: _value(request, one, None, seen) for one in parameters if not one.per_model}
    models = tuple(
        {one.option: _value(request, one, number, seen) for one in parameters if one.per_model}
        for number in range(len(request.members))
    )
    if request.alone:
        return _alone(shared, models[0], request)
    fixed = {name: Value(value, request.where) for name, value in request.known.options.items()}
    return Resolved(shared | fixed, models)


def _alone(shared: Values, own: Values, request: Request) -> Resolved:
    """The weighted sum of one model is the model times its weight, its mean the model as it is."""
    scaled = request.known.name == "linear" and not shared["normalize"].value
    scale = own["weight"] if scaled else Value(1.0, request.where)
    return Resolved({}, ({"scale": scale},))


def _value(request: Request, parameter: Parameter, number: int | None, seen: Seen) -> Value:
    """Return the value that counts: the model's own before those for all models, in each the first that fits."""
    member = None if number is None else request.members[number]
    texts = seen.shared if number is None else seen.models[number]
    scopes: Sequence[Settings] = (*([member.settings] if member else []), *request.scopes)
    for settings in scopes:
        for choice in settings.get(parameter.name, ()):
            if choice.fits(texts):
                return Value(_there(choice, parameter, seen), choice.where)
    if parameter.default is REQUIRED:
        raise _missing(request, parameter, member, seen, scopes)
    return Value(parameter.becomes(parameter.default), request.where)


def _there(choice: Choice, parameter: Parameter, seen: Seen) -> Any:
    if not isinstance(choice.value, list):
        return parameter.becomes(choice.value)
    if parameter.kind == "number":
        return choice.value[0] if seen.depth is None else list(choice.value)
    depth = seen.depth or 0.0
    if parameter.kind == "switch":
        return parameter.becomes(choice.value[int(depth * (len(choice.value) - 1))])
    between = round(interpolate(choice.value, depth), 9)
    if not between.is_integer():
        what = f"'{parameter.name}' would be {between:g} for tensor '{seen.example}', which is no whole number"
        raise UsageError(what, where=choice.where, hint="give one value for each layer, or one for all")
    return int(between)


def _missing(
    request: Request, parameter: Parameter, member: Member | None, seen: Seen, scopes: Sequence[Settings]
) -> UsageError:
    of = f" of {member.location}" if member else ""
    given = next((settings[parameter.name] for settings in scopes if parameter.name in settings), None)
    if given:
        what = f"no filter of '{parameter.name}'{of} fits tensor '{seen.example}'"
        return UsageError(what, where=given[-1].where, hint="end the list with `- value: …`, for all other tensors")
    place = "beside the model, or for all models at the top" if member else "at the top"
    hint = f"write it under `parameters:` {place}"
    if member and request.appended and member is request.members[-1]:
        hint = f"base_model is one more model of {request.known.name}: list it with its own {parameter.name}"
    where = member.where if member else request.where
    return UsageError(f"{request.known.name} needs '{parameter.name}'{of}", where=where, hint=hint)
