"""YAML mappings that remember where each of their keys stands, so that every complaint says ``file:line:column``."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .aliases import check_aliases
from .errors import UsageError, suggest
from .text_file import read_text

_DEEP = re.compile(r"(?:[\[{][^\[\]{}]{0,40}){100}")  # which the parser would look at for seconds before it gives up


@dataclass(frozen=True)
class Section:
    """One mapping of a YAML file. ``name`` is how the file is called in messages."""

    name: str
    mapping: Any  # ruamel's CommentedMap: a dict with line and column of every key

    def where(self, key: str) -> str:
        """Return ``file:line:column`` of a key, counted from 1; the file alone for a key that ``--set`` added."""
        try:
            line, column = self.mapping.lc.key(key)
        except (AttributeError, KeyError, TypeError):
            return self.name
        return f"{self.name}:{line + 1}:{column + 1}"

    def check_keys(self, known: Collection[str], required: Collection[str] = ()) -> None:
        """Raise UsageError at the first key that is not known, or for a required one that is absent."""
        for key in self.mapping:
            if isinstance(key, Mapping | tuple):
                raise UsageError("a key is a text, and this is a list or a mapping", where=self.start)
            if key not in known:
                hint = suggest(str(key), known) or f"known keys: {', '.join(known)}"
                raise UsageError(f"unknown key '{key}'", where=self.where(key), hint=hint)
        for key in required:
            if key not in self.mapping:
                raise UsageError(f"the key '{key}' is missing", where=self.start)

    def text(self, key: str, default: str) -> str:
        """Return the text under a key. Raises UsageError when it is not a non-empty text."""
        value = self.mapping.get(key, default)
        if not isinstance(value, str) or not value:
            raise UsageError(f"'{key}' must be a text, not {value!r}", where=self.where(key))
        return str(value)

    def number(self, key: str) -> float | None:
        """Return the finite number under a key, or None when the key is absent."""
        if key not in self.mapping:
            return None
        return self._finite(key, self.mapping[key])

    def whole_number(self, key: str, *, least: int, of: str = "") -> int | None:
        """Return the whole number under a key, or None when the key is absent.

        Args:
            key: The key.
            least: The smallest number that is allowed.
            of: What is counted, for the message.

        Raises:
            UsageError: It is no number, no whole one, or too small.
        """
        number = self.number(key)
        if number is not None and (number < least or number != int(number)):
            kind = f"a whole number of {of}" if of else "a whole number"
            raise UsageError(f"'{key}' must be {kind} from {least}, not {self.mapping[key]!r}", where=self.where(key))
        return None if number is None else int(number)

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return the number or list of numbers under a key as a tuple."""
        value = self.mapping[key]
        values = tuple(self._finite(key, item) for item in value) if isinstance(value, list) else None
        if values == ():
            raise UsageError(f"'{key}' is an empty list", where=self.where(key))
        return values or (self._finite(key, value),)

    def section(self, key: str) -> Section:
        """Return the mapping under a key. Raises UsageError when there is none."""
        self.check_keys(self.mapping, required=(key,))
        value = self.mapping[key]
        if not isinstance(value, dict):
            raise UsageError(f"'{key}' must be a mapping, not {value!r}", where=self.where(key))
        return Section(self.name, value)

    def items(self, key: str) -> Iterator[tuple[Any, str]]:
        """Yield every item of the list under a key with its ``file:line:column``. Raises UsageError if it is none."""
        value: Any = self.mapping.get(key, [])
        if not isinstance(value, list):
            raise UsageError(f"'{key}' must be a list, not {value!r}", where=self.where(key))
        places: Any = getattr(value, "lc", None)  # none on a list that `--set` gave
        for number, item in enumerate(value):
            try:
                line, column = places.item(number)
                yield item, f"{self.name}:{line + 1}:{column + 1}"
            except (AttributeError, KeyError, TypeError):
                yield item, self.where(key)

    def texts(self, key: str) -> Iterator[str]:
        """Yield the texts of the list under a key, or the only one. Raises UsageError when one is no text."""
        if isinstance(self.mapping.get(key), str):
            yield self.text(key, "")
            return
        for item, where in self.items(key):
            if not isinstance(item, str) or not item:
                raise UsageError(f"'{key}' holds {item!r}, which is no text", where=where)
            yield str(item)

    def _finite(self, key: str, value: object) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not abs(value) <= sys.float_info.max:  # type: ignore[arg-type]
            raise UsageError(f"'{key}' must be a finite number, not {value!r}", where=self.where(key))
        return float(value)  # type: ignore[arg-type]

    @property
    def start(self) -> str:
        """``file:line:column`` of its first key."""
        place = getattr(self.mapping, "lc", None)  # a mapping that --set made has none
        line, column = getattr(place, "line", None), getattr(place, "col", None)
        return self.name if line is None or column is None else f"{self.name}:{line + 1}:{column + 1}"


def read_section(path: Path, name: str) -> Section:
    """Read a YAML file that holds one mapping.

    Raises:
        UsageError: The file cannot be read, is not YAML, repeats a key, or holds anything else.
    """
    return only_one(read_sections(path, name))


def read_sections(path: Path, name: str) -> list[Section]:
    """Read a YAML file of one or several documents, each of them a mapping.

    Raises:
        UsageError: The file cannot be read, is not YAML, repeats a key, or holds anything else.
    """
    return parse_sections(read_text(path, name), name)


def parse_section(text: str, name: str) -> Section:
    """Parse YAML that holds one mapping.

    Raises:
        UsageError: The text is not YAML, repeats a key, or holds anything else.
    """
    return only_one(parse_sections(text, name))


def only_one(sections: list[Section]) -> Section:
    """Return the one document of a file.

    Raises:
        UsageError: It has several.
    """
    if len(sections) > 1:
        hint = "put each into a file of its own; in this tool's grammar, a model may itself be a merge"
        raise UsageError("one document is read, and here begins another", where=sections[1].start, hint=hint)
    return sections[0]


def parse_sections(text: str, name: str) -> list[Section]:
    """Parse YAML of one or several documents, each of them a mapping; empty ones are left out.

    Raises:
        UsageError: The text is not YAML, repeats a key, holds anything but mappings, or its aliases stand for too much.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    if _DEEP.search(text):
        raise UsageError("brackets are nested more than a hundred deep", where=name)
    try:
        nodes = list(YAML(typ="rt").compose_all(text)) if "&" in text and "*" in text else []
    except Exception:  # told below, where the text is parsed
        nodes = []
    for node in nodes:  # before a message about a key that is there twice shows all that stands under it
        check_aliases(node, name)
    try:
        documents = [document for document in YAML(typ="rt").load_all(text) if document is not None]
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        problem = str(error.problem).splitlines()[0] if error.problem else "cannot be parsed"
        raise UsageError(f"not valid YAML: {problem}", where=where) from None
    except Exception as error:  # broken text ends in IndexError, AttributeError and more inside the parser
        problem = (str(error).splitlines() or [type(error).__name__])[0]
        problem = "a list or a mapping stands in the place of a key" if "unhashable" in problem else problem
        raise UsageError(f"not valid YAML: {problem}", where=name) from None
    if not documents or not all(isinstance(document, dict) for document in documents):
        raise UsageError("a mapping of keys to values is expected", where=f"{name}:1:1")
    for document in documents:
        check_aliases(document, name)
    return [Section(name, document) for document in documents]
