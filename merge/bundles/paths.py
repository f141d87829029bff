"""Paths as a bundle keeps them: seen from its own folder, so that it can be moved with what it names."""

from __future__ import annotations

import os
from pathlib import Path


def seen_from(path: Path, bundle: Path) -> str:
    """Return where something is, seen from a bundle's folder, with ``/`` on every system.

    Folders that are links are followed first: the system takes ``..`` from where a link leads to, not from where it
    stands. A link that is itself the file or folder keeps its name.

    Args:
        path: What the bundle names; a relative path counts from the current folder.
        bundle: The bundle's folder, which need not be there yet.
    """
    target, start = _physical(path), _physical(bundle)
    try:
        return Path(os.path.relpath(target, start)).as_posix()
    except ValueError:  # another drive of Windows
        return target.as_posix()


def _physical(path: Path) -> Path:
    return path.resolve() if path.name in {"", ".."} else path.parent.resolve() / path.name
