"""One family of errors: what is wrong, where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

LONGEST = 1000  # characters of each part of a message


class MergeError(Exception):
    """A failure that the user can act on; the command line prints it in one line and exits with 1.

    Args:
        what: What is wrong, in plain words.
        where: File, tensor or ``recipe.yaml:12:5``; goes in front of the message.
        hint: What to do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(self._text())

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it pass between processes in its parts."""
        return _restored, (type(self), self.what, self.where, self.hint)

    def _text(self) -> str:
        where, what, hint = (shortened(part or "") for part in (self.where, self.what, self.hint))
        text = f"{where}: {what}" if where else what
        return f"{text} ({hint})" if hint else text


def _restored(kind: type[MergeError], what: str, where: str | None, hint: str | None) -> MergeError:
    return kind(what, where=where, hint=hint)


class LostError(MergeError):
    """What is read elsewhere was lost on the way and may be had later; what a merge has done until then is kept."""


class UsageError(MergeError):
    """The request itself is wrong (flag, key, option, count of models); exit code 2."""

    exit_code = 2


def suggest(name: object, known: Iterable[str]) -> str | None:
    """Return ``did you mean 'x'?`` for the nearest known name, or None when nothing is near."""
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else None


def some_of(names: Iterable[str], most: int = 5) -> str:
    """Return the first of many names, and how many more there are: ``a, b and 7 more``."""
    names = list(names)
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def shortened(text: str) -> str:
    """Return text without its middle where a file from elsewhere has made it longer than anybody reads."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 4 :]}"


def printable(text: str) -> str:
    """Return text with control characters spelled out, since names in a file may hold anything."""
    if text.isprintable():  # nearly always, and a plan may name a hundred thousand tensors
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
