"""What stands in the place of a model: a path or hub id, or a mapping that says the same."""

from __future__ import annotations

from typing import Any

from ..errors import UsageError
from ..section import Section

REFERENCE_KEYS = ("model", "lora", "override_architecture")
PATH_KEYS = ("path", "revision")


def read_reference(value: Any, where: str, name: str) -> str:
    """Return the location of a model: ``path[@revision]``, and with an adapter ``path[@revision]+path[@revision]``.

    Args:
        value: Such a text, or ``{model: {path, revision}, lora: {path, revision}}``.
        where: ``recipe.yaml:line:column`` of it.
        name: What the file is called in messages.

    Raises:
        UsageError: It is no model.
    """
    if isinstance(value, dict):
        return _from_mapping(Section(name, value))
    if not isinstance(value, str) or not value:
        raise UsageError(f"a model is a path or a hub id, not {value!r}", where=where)
    return str(value)


def overrides_architecture(value: Any) -> bool:
    """Tell whether what stands in the place of a model asks for the tensors of another architecture."""
    return isinstance(value, dict) and value.get("override_architecture") is not None


def _from_mapping(section: Section) -> str:
    section.check_keys(REFERENCE_KEYS, ("model",))
    if section.mapping.get("override_architecture") is not None:
        section.text("override_architecture", "")
    adapter = f"+{_path(section, 'lora')}" if section.mapping.get("lora") is not None else ""
    return _path(section, "model") + adapter


def _path(section: Section, key: str) -> str:
    """Return what is under a key: a path, or ``{path, revision}``."""
    if not isinstance(section.mapping[key], dict):
        return read_reference(section.mapping[key], section.where(key), section.name)
    inner = section.section(key)
    inner.check_keys(PATH_KEYS, ("path",))
    path = inner.text("path", "")
    return f"{path}@{inner.text('revision', '')}" if inner.mapping.get("revision") is not None else path
