"""Which kind of place a URL names: a web server, or whatever fsspec knows."""

from __future__ import annotations

from urllib.parse import urlsplit

from ...errors import UsageError
from .offline import refuse_offline
from .reference import WEIGHTS_SUFFIXES
from .shown import shown
from .store import Store


def open_place(location: str) -> tuple[Store, str | None]:
    """Return the folder that a URL names, or the folder and the name of the file that it names.

    Raises:
        MergeError: Nothing is there, or it cannot be reached.
        UsageError: Nothing can read such a URL.
    """
    protocol = location.partition("://")[0].lower()
    if protocol in ("http", "https"):
        refuse_offline(location)
        return _open_web(location)
    from .filesystem import open_filesystem

    return open_filesystem(location)


def _open_web(location: str) -> tuple[Store, str | None]:
    from .web import WebFolder
    from .web_file import WebFile

    try:
        parts = urlsplit(location)
        known = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError as error:  # half an address of IPv6, or a port that is no number
        raise UsageError(f"this is no address that can be read: {error}", where=shown(location)) from None
    if not known:
        raise UsageError("this address names no server", where=shown(location))
    if parts.path.endswith(WEIGHTS_SUFFIXES) or parts.query:
        return WebFile(location), parts.path.rpartition("/")[2]
    folder = WebFolder(location)
    if folder.names:
        return folder, None
    if location.endswith("/"):
        what = f"has none of {', '.join(folder.looked_for)}"
        raise UsageError(what, where=folder.where, hint="a web server lists no files; name the file")
    return WebFile(location), parts.path.rpartition("/")[2]
