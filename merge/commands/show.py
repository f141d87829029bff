"""Where text goes: results on stdout; with ``--json`` that is the JSON alone, and everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..checkpoints.address import OutputPath
from ..errors import printable

LONG_LIST = 1000  # entries, from which on each is written on one line: that is many times as fast
WIDEST_NAME = 80  # columns are not padded beyond this for the sake of one long name


class Voice(Protocol):
    """The flags that decide what is printed where."""

    @property
    def json_(self) -> bool:
        """Machine output on stdout."""

    @property
    def quiet(self) -> bool:
        """Errors only."""


@dataclass(frozen=True)
class Speech:
    """The flags of a command that has no others."""

    json_: bool
    quiet: bool = False


def say(text: str, flags: Voice) -> None:
    """Print text for people."""
    if not flags.quiet:
        print(_harmless(text), file=sys.stderr if flags.json_ else sys.stdout, flush=True)


def warn(text: str, flags: Voice) -> None:
    """Print a warning."""
    if not flags.quiet:
        print(f"warning: {_harmless(text)}", file=sys.stderr, flush=True)  # noqa: T201


def say_report(directory: Path | None, flags: Voice) -> None:
    """Say where a report lies, where there is one."""
    if directory is not None:
        say(f"report: {directory / 'report.html'}", flags)


def from_here(place: OutputPath) -> str:
    """Return a place as it is typed in the current folder: relative where it lies within."""
    with suppress(OSError):  # the current folder may be gone
        if isinstance(place, Path) and (here := Path.cwd()) in place.parents:
            return str(place.relative_to(here))
    return str(place)


def _harmless(text: str) -> str:
    """Return lines of text without what would command the terminal: names in a file may hold anything."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def say_json(value: Any) -> None:
    """Print JSON for programs, piece by piece: a plan may have a hundred thousand tensors."""
    for piece in _json_pieces(value):
        sys.stdout.write(piece)
    sys.stdout.write("\n")
    sys.stdout.flush()


def _json_pieces(value: Any) -> Iterator[str]:
    """Yield the text of a value; the entries of long lists in an object stand on a line each."""
    if not isinstance(value, dict) or not any(_is_long(entry) for entry in value.values()):
        yield _json(value, indent=2)
        return
    for number, (name, entry) in enumerate(value.items()):
        yield f"{',' if number else '{'}\n  {_json(name)}: "
        if _is_long(entry):
            yield from (f"{',' if place else '['}\n    {_json(each)}" for place, each in enumerate(entry))
            yield "\n  ]"
        else:
            yield _json(entry, indent=2).replace("\n", "\n  ")  # within texts, line breaks are written otherwise
    yield "\n}"


def _is_long(value: Any) -> bool:
    return isinstance(value, list) and len(value) > LONG_LIST


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)


def render_columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text with aligned columns, the last one ragged."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
