"""The texts of a perplexity benchmark: plain files, or one text a line in JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import UsageError, suggest
from ...section import Section
from .line_files import json_object

KEYS = ("path", "text")
LINES = (".jsonl", ".ndjson")
DEFAULT_FIELD = "text"
SHOWN = 40  # characters of what stands in place of a text


@dataclass(frozen=True)
class TextSource:
    """Where the texts are.

    Attributes:
        paths: Each a text of its own, or JSON Lines with a text in every line.
        field: Under which name a line has it.
        where: Place in the benchmark file, for messages.
    """

    paths: tuple[Path, ...]
    field: str
    where: str


def read_text_source(section: Section, folder: Path) -> TextSource:
    """Read the ``data:`` of a benchmark. Raises UsageError with the place of what is wrong."""
    data = section.section("data")
    data.check_keys(KEYS, required=("path",))
    where = data.where("path")
    paths = tuple(_paths(data, folder))
    if "text" in data.mapping and not any(path.suffix in LINES for path in paths):
        hint = "a file of another name is one text as a whole"
        raise UsageError("'text' is a key in the lines of a .jsonl file", where=data.where("text"), hint=hint)
    return TextSource(paths, data.text("text", DEFAULT_FIELD), where)


def load_documents(source: TextSource) -> list[str]:
    """Return the texts in order.

    Raises:
        UsageError: A file is not UTF-8 or not JSON Lines, or a text is empty.
    """
    documents = [document for path in source.paths for document in _documents(path, source)]
    if not documents:
        raise UsageError("there is no text", where=source.where)
    return documents


def _paths(data: Section, folder: Path) -> Iterator[Path]:
    several = isinstance(data.mapping["path"], list)
    named = list(data.items("path")) if several else [(data.text("path", ""), data.where("path"))]
    if not named:
        raise UsageError("'path' is an empty list", where=data.where("path"))
    for name, where in named:
        if not isinstance(name, str) or not (folder / name).is_file():
            raise UsageError(f"no such text file: {name}", where=where)
        yield folder / name


def _documents(path: Path, source: TextSource) -> Iterator[str]:
    text = _read(path, source.where)
    if path.suffix not in LINES:
        yield _checked(text, path.name, source.where)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{path.name}, line {number}"
            yield _checked(_field(line, place, source), place, source.where)


def _read(path: Path, where: str) -> str:
    try:  # as bytes, since reading as text would turn \r\n into \n, and bytes are what is counted
        return path.read_bytes().decode()
    except OSError as error:
        raise UsageError(f"cannot read {path.name}: {error.strerror}", where=where) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name} is not UTF-8 at byte {error.start}", where=where) from None


def _field(line: str, place: str, source: TextSource) -> str:
    record = json_object(line, place, source.where)
    text = record.get(source.field)
    if isinstance(text, str):
        return text
    if source.field in record:
        shown = repr(text) if len(repr(text)) <= SHOWN else f"{repr(text)[:SHOWN]}…"
        what = f"{place}: what is under '{source.field}' is no text, but {shown}"
        raise UsageError(what, where=source.where)
    keys = ", ".join(record) or "none"
    hint = suggest(source.field, record) or f"its keys: {keys}; name one with 'text'"
    raise UsageError(f"{place} has no text under '{source.field}'", where=source.where, hint=hint)


def _checked(text: str, place: str, where: str) -> str:
    if not text:
        raise UsageError(f"{place}: the text is empty", where=where)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell
        raise UsageError(f"{place}: the text is no valid Unicode", where=where) from None
    return text
