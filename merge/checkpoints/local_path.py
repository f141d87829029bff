"""A path on this machine, as a user means it."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from ..errors import UsageError, suggest

_NOWHERE = Path(os.devnull, "a name that is too long")  # where nothing is: an address, such as a signed one, is no file


def local_path(location: str | Path, relative_to: Path | None = None) -> Path:
    """Return the path that a user means: ``~`` is the home folder, unless no such user is known.

    Raises:
        UsageError: For a name that is no valid text, which no card could record, or longer than a file's may be.
    """
    path = Path(location)
    try:
        str(path).encode()
    except UnicodeEncodeError:
        hint = "rename it; or set PYTHONUTF8=1 where the locale is not UTF-8"
        raise UsageError("the file name is no valid UTF-8", where=repr(str(path)), hint=hint) from None
    with contextlib.suppress(RuntimeError):
        path = path.expanduser()
    found = (relative_to or Path()) / path
    if not _is_too_long(found):
        return found
    if ":/" in str(location):  # as a Path has it
        return _NOWHERE
    raise UsageError("the name is longer than a file's may be", where=f"{str(location)[:40]}…")


def near_name(path: Path) -> str | None:
    """Return a hint at a file or folder of a similar name beside a path at which there is nothing."""
    try:
        return suggest(path.name, os.listdir(path.parent))
    except OSError:
        return None


def _is_too_long(path: Path) -> bool:
    """Tell whether no file can have this name, which looking for one would fail on."""
    try:
        path.lstat()
    except (OSError, ValueError) as error:
        return getattr(error, "errno", None) == errno.ENAMETOOLONG
    return False
