"""What stands in the place of a model: a path or hub id, or a mapping that says the same."""

from __future__ import annotations

from typing import Any

from ..checkpoints.resolve import local_path
from ..errors import UsageError
from ..section import Section

REFERENCE_KEYS = ("model", "lora", "override_architecture")
PATH_KEYS = ("path", "revision")
_MERGE_FIRST = "merge the adapter into its model first, and name the folder with the outcome"


def read_reference(value: Any, where: str, name: str) -> str:
    """Return the location of a model.

    Args:
        value: ``path[@revision]``, or ``{model: {path, revision}}``.
        where: ``recipe.yaml:line:column`` of it.
        name: What the file is called in messages.

    Raises:
        UsageError: It is no model, or one with an adapter.
    """
    if isinstance(value, dict):
        return _from_mapping(Section(name, value))
    if not isinstance(value, str) or not value:
        raise UsageError(f"a model is a path or a hub id, not {value!r}", where=where)
    if "+" in value and not local_path(value).exists():
        what = f"'{value}' names an adapter after the +, which this version does not read"
        raise UsageError(what, where=where, hint=_MERGE_FIRST)
    return str(value)


def _from_mapping(section: Section) -> str:
    section.check_keys(REFERENCE_KEYS, ("model",))
    hints = {"lora": _MERGE_FIRST, "override_architecture": "leave it out: tensors are matched by their names"}
    for key, hint in hints.items():
        if section.mapping.get(key) is not None:
            raise UsageError(f"'{key}' is not read by this version", where=section.where(key), hint=hint)
    inner = section.mapping["model"]
    if not isinstance(inner, dict):
        return read_reference(inner, section.where("model"), section.name)
    found = Section(section.name, inner)
    found.check_keys(PATH_KEYS, ("path",))
    path = found.text("path", "")
    return f"{path}@{found.text('revision', '')}" if found.mapping.get("revision") is not None else path
