"""A path on this machine, as a user means it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ..errors import UsageError


def local_path(location: str | Path, relative_to: Path | None = None) -> Path:
    """Return the path that a user means: ``~`` is the home folder, unless no such user is known.

    Raises:
        UsageError: For a name that is no valid text, which no card could record.
    """
    path = Path(location)
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UsageError("the file name is no valid UTF-8", where=repr(str(path)), hint="rename it") from None
    with contextlib.suppress(RuntimeError):
        path = path.expanduser()
    return (relative_to or Path()) / path
