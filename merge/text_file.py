"""Text of files that users write, and what to say where one cannot be read."""

from __future__ import annotations

from pathlib import Path

from .checkpoints.local_path import near_name
from .errors import UsageError


def read_text(path: Path, name: str) -> str:
    """Return the text of a file.

    Args:
        path: The file.
        name: What stands for it in messages.

    Raises:
        UsageError: It is not there, a folder, no text in UTF-8, or cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError("no such file", where=name, hint=near_name(path)) from None
    except IsADirectoryError:
        raise UsageError("this is a folder; a YAML file is needed", where=name) from None
    except UnicodeDecodeError as error:
        what = f"this is no text in UTF-8 (byte {error.start}); a YAML file is needed"
        raise UsageError(what, where=name) from None
    except OSError as error:
        raise UsageError(f"cannot read the file: {error.strerror or error}", where=name) from None
