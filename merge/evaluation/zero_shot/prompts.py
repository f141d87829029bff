"""Class names and templates ▸ the prompts of a zero-shot head."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import UsageError, suggest
from ...section import Section

DEFAULT_TEMPLATE = "a photo of a {}."
PLACEHOLDERS = ("{}", "{c}")
_PLACE = re.compile("|".join(map(re.escape, PLACEHOLDERS)))
# open_clip's lists: the 80 that CLIP was published with for ImageNet, and the 7 of its authors' later notebook.
TEMPLATE_SETS = {"openai": "OPENAI_IMAGENET_TEMPLATES", "simple": "SIMPLE_IMAGENET_TEMPLATES"}


@dataclass(frozen=True)
class Prompts:
    """What a benchmark says about its prompts.

    Attributes:
        classes: Names by class number; or other words for names of the data set; or None: the names of the data set.
        templates: Each with a placeholder for the class name.
        label: The templates in short, for the rows of results.
        where: Place of the class names in the benchmark file.
    """

    classes: tuple[str, ...] | Mapping[str, str] | None
    templates: tuple[str, ...]
    label: str
    where: str

    def names(self, of_data: Sequence[str] | None) -> tuple[str, ...]:
        """Return the name of every class.

        Args:
            of_data: The data set's own names; underscores stand for spaces in them.

        Raises:
            UsageError: There are none, or a word is given for a class that the data set does not have.
        """
        if isinstance(self.classes, tuple):
            return self.classes
        if of_data is None:
            hint = "list them under 'classes', in the order of the class numbers"
            raise UsageError("the data has no class names", where=self.where, hint=hint)
        words = self.classes or {}
        for name in words:
            if name not in of_data:
                raise UsageError(f"the data has no class '{name}'", where=self.where, hint=suggest(name, of_data))
        return tuple(words.get(name, name.replace("_", " ")) for name in of_data)

    def texts(self, names: Sequence[str]) -> list[str]:
        """Return the prompts, all templates of the first class first."""
        return [fill(template, name) for name in names for template in self.templates]


def fill(template: str, name: str) -> str:
    """Put a class name in place of ``{}`` or ``{c}``; other braces are left as they are."""
    return _PLACE.sub(lambda place: name, template)


def read_prompts(section: Section) -> Prompts:
    """Read ``classes`` and ``templates``. Raises UsageError with the place of what is wrong."""
    templates, label = _templates(section)
    where = section.where("classes") if "classes" in section.mapping else section.name
    return Prompts(_classes(section), templates, label, where)


def _classes(section: Section) -> tuple[str, ...] | Mapping[str, str] | None:
    given = section.mapping.get("classes")
    if given is None and "classes" not in section.mapping:
        return None
    if isinstance(given, dict):
        return _by_key(given, section.section("classes"))
    names = tuple(_class_name(item, where) for item, where in section.items("classes"))
    if len(names) < 2:
        raise UsageError("'classes' needs at least two names", where=section.where("classes"))
    return names


def _by_key(given: Mapping[Any, Any], section: Section) -> tuple[str, ...] | Mapping[str, str]:
    """Return the names in order where the keys are class numbers, else the mapping."""
    names = {key: _class_name(value, section.where(key)) for key, value in given.items()}
    if all(isinstance(key, int) for key in names):
        if sorted(names) != list(range(len(names))):
            what = f"class numbers must run from 0 to {len(names) - 1} without a gap"
            raise UsageError(what, where=section.where(next(iter(names), "")))
        return tuple(names[number] for number in range(len(names)))
    return {str(key): name for key, name in names.items()}


def _class_name(value: object, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise UsageError(f"a class name must be a text, not {value!r}", where=where)
    return str(value)


def _templates(section: Section) -> tuple[tuple[str, ...], str]:
    given = section.mapping.get("templates", DEFAULT_TEMPLATE)
    if isinstance(given, str):
        if given in TEMPLATE_SETS:
            return _template_set(given), given
        _check_template(given, section.where("templates"), hint=suggest(given, TEMPLATE_SETS))
        return (str(given),), f'"{given}"'
    templates = []
    for item, where in section.items("templates"):
        _check_template(item, where)
        templates.append(str(item))
    if not templates:
        raise UsageError("'templates' is an empty list", where=section.where("templates"))
    return tuple(templates), f'"{templates[0]}"' if len(templates) == 1 else f"{len(templates)} templates"


def _check_template(template: object, where: str, hint: str | None = None) -> None:
    if not isinstance(template, str) or not any(placeholder in template for placeholder in PLACEHOLDERS):
        hint = hint or f'write it like "{DEFAULT_TEMPLATE}"; sets: {", ".join(TEMPLATE_SETS)}'
        raise UsageError(f"the template {template!r} has no place {{}} for the class name", where=where, hint=hint)


def _template_set(name: str) -> tuple[str, ...]:
    import open_clip

    return tuple(template("{}") for template in getattr(open_clip, TEMPLATE_SETS[name]))
