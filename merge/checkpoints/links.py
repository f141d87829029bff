"""What bytes come and go through: a disk here, the hub, a store elsewhere. Each is as fast as it is, whoever reads."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .meter import Meter

HUB = "hub"
DISK = "disk "  # followed by where it is mounted

_reading: defaultdict[str, Meter] = defaultdict(Meter)
_transfers: defaultdict[str, Meter] = defaultdict(Meter)


def link_of(source: Any) -> str:
    """Return what the bytes of a source come through; empty for tensors in memory.

    ``disk MOUNT`` for files here, ``hub``, ``https://HOST``, and the scheme of any other URL. What is made from
    another source comes through that one's link.
    """
    below = getattr(source, "source", None)
    if below is not None:
        return link_of(below)
    files = getattr(source, "files", None)
    if files is None:
        return ""
    return link_of_file(files[0]) if files else link_of_address(source.location, source.origin)


def link_of_file(path: Path) -> str:
    """Return the disk that a file lies on, or will lie on."""
    path = Path(os.path.realpath(path))
    return DISK + str(next((folder for folder in (path, *path.parents) if os.path.ismount(folder)), path.anchor))


def link_of_address(location: str, origin: str | None = None) -> str:
    """Return what the bytes of a location elsewhere come through.

    Args:
        location: What the user wrote.
        origin: What names a model of the hub for good.
    """
    scheme, mark, _ = location.partition("://")
    if origin is not None or not mark or scheme == "hf":
        return HUB
    host = urlsplit(location).hostname
    return f"{scheme}://{host}" if scheme in ("http", "https") and host else scheme.lower()


def is_disk(link: str) -> bool:
    """Tell whether a link is a disk of this machine."""
    return link.startswith(DISK)


def reading_meter(link: str) -> Meter:
    """Return the meter of what readers in this process waited for the bytes of a link."""
    return _reading[link]


def transfer_meter(link: str) -> Meter:
    """Return the meter of the transfers from elsewhere, which run ahead of the readers."""
    return _transfers[link]
