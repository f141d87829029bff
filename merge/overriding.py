"""``--set KEY=VALUE``: other values in a recipe that has been parsed and not read yet."""

from __future__ import annotations

from typing import Any

from .errors import UsageError
from .section import Section, parse_section

_DIGITS = 20  # of the place in any list


def override(section: Section, setting: str) -> None:
    """Apply one ``a.b.0.c=value`` to the parsed YAML; the value is read as YAML itself.

    Raises:
        UsageError: There is no such place.
    """
    path, separator, text = setting.partition("=")
    if not separator or not path:
        raise UsageError(f"--set needs KEY=VALUE, not '{setting}'", hint="for example --set options.density=0.2")
    value = parse_section(f"value: {text}\n", "--set").mapping["value"]
    *parents, last = path.split(".")
    target: Any = section.mapping
    for part in parents:
        target = target.setdefault(part, {}) if isinstance(target, dict) else _item(target, part, setting)
    if isinstance(target, dict):
        target[last] = value
    else:
        _item(target, last, setting)
        target[int(last)] = value


def _item(target: Any, part: str, setting: str) -> Any:
    if isinstance(target, list) and part.isdecimal() and len(part) < _DIGITS and int(part) < len(target):
        return target[int(part)]
    raise UsageError(f"--set {setting}: there is no '{part}'", hint="lists count from 0: models.0.weight=0.5")
