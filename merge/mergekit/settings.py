"""The values of parameters: numbers, gradients over the layers, and either behind filters on tensor names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from ..section import Section
from .methods import Known, check_parameter
from .parameters import Parameter

CONDITION_KEYS = ("filter", "value")


@dataclass(frozen=True)
class Choice:
    """One value, for the tensors that have a text in their name.

    Attributes:
        filter: The text; None stands for every tensor.
        value: One value, or a list that is interpolated over the layers.
        where: ``recipe.yaml:line:column``.
    """

    filter: str | None
    value: Any
    where: str

    def fits(self, texts: frozenset[str]) -> bool:
        """Tell whether it counts for a tensor whose name holds these of all filters."""
        return self.filter is None or self.filter in texts


Setting = tuple[Choice, ...]  # the first that fits counts
Settings = Mapping[str, Setting]


def read_settings(section: Section, known: Known, *, beside_model: bool = False) -> Settings:
    """Read the ``parameters`` of the whole recipe, of a module or slice, or those beside a model.

    Raises:
        UsageError: For parameters that the method does not have there, and values that are none.
    """
    given = section.mapping.get("parameters")
    if given is None:
        return {}
    inner = section.section("parameters")
    declared = {parameter.name: parameter for parameter in known.parameters}
    found = {}
    for name in inner.mapping:
        where = inner.where(name)
        check_parameter(known, str(name), where)
        if beside_model and not declared[str(name)].per_model:
            what = f"'{name}' of {known.name} is one value for all models, which mergekit does not look for here"
            raise UsageError(what, where=where, hint="write it under the `parameters:` at the top")
        found[str(name)] = _setting(inner, name, declared[str(name)])
    return found


def _setting(section: Section, name: str, parameter: Parameter) -> Setting:
    value, where = section.mapping[name], section.where(name)
    if isinstance(value, dict):
        return (_condition(Section(section.name, value), parameter),)
    if not isinstance(value, list) or not any(isinstance(item, dict) for item in value):
        return (Choice(None, _value(value, parameter, where), where),)
    return tuple(_conditions(section, name, parameter))


def _conditions(section: Section, name: str, parameter: Parameter) -> Sequence[Choice]:
    found = []
    for item, where in section.items(name):
        if not isinstance(item, dict):
            what = f"'{name}' mixes values with filters"
            raise UsageError(what, where=where, hint=f"write - value: {item}, for the tensors that no filter fits")
        found.append(_condition(Section(section.name, item), parameter))
    return found


def _condition(section: Section, parameter: Parameter) -> Choice:
    section.check_keys(CONDITION_KEYS, ("value",))
    text = section.mapping.get("filter")
    if text is not None:
        text = section.text("filter", "")
    where = section.where("value")
    return Choice(None if text == "*" else text, _value(section.mapping["value"], parameter, where), where)


def _value(value: object, parameter: Parameter, where: str) -> Any:
    """Return one value, or a list of two or more of which not all are equal."""
    if not isinstance(value, list):
        return parameter.scalar(value, where)
    values = [parameter.scalar(item, where) for item in value]
    if not values:
        raise UsageError(f"'{parameter.name}' is an empty list", where=where, hint="list values over the layers")
    if all(item == values[0] for item in values):
        return values[0]
    return values
