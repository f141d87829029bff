"""Where text goes: results on stdout; with ``--json`` that is the JSON alone, and everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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
        print(text, file=sys.stderr if flags.json_ else sys.stdout, flush=True)


def warn(text: str, flags: Voice) -> None:
    """Print a warning."""
    if not flags.quiet:
        print(f"warning: {text}", file=sys.stderr, flush=True)  # noqa: T201


def say_json(value: Any) -> None:
    """Print JSON for programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False), flush=True)  # noqa: T201


def render_columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text with aligned columns, the last one ragged."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
