"""What the slow server serves: the files of a folder as objects of a bucket, through a link of so many bytes a second.

One bucket of tokens serves all connections together: that is a link, whoever uses it.
"""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

_BURST = 0.05  # seconds of sending that a pause may save up


class Link:
    """Lets so many bytes pass in a second, over all connections together.

    Args:
        rate: Bytes per second; 0 for as many as there come.
    """

    def __init__(self, rate: float) -> None:
        self._rate, self._lock, self._next = rate, threading.Lock(), 0.0

    def take(self, count: int) -> None:
        """Return when so many bytes may be sent."""
        if not self._rate:
            return
        with self._lock:
            now = time.monotonic()
            self._next = max(self._next, now - _BURST) + count / self._rate
            wait = self._next - now
        if wait > 0:
            time.sleep(wait)


class Range(NamedTuple):
    """Bytes ``start`` to ``stop`` of a file of ``size``."""

    start: int
    stop: int
    size: int


def wanted(header: str | None, size: int) -> Range | None:
    """Return the bytes that a request asks for; None where the file has none of them."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", header or "")
    if found is None:
        return Range(0, size, size)
    stop = min(size, int(found[2]) + 1) if found[2] else size
    return Range(int(found[1]), stop, size) if int(found[1]) < stop else None


class Served:
    """What is served: the files below a folder as objects of one bucket, and how many bytes of each were sent."""

    def __init__(self, folder: Path, rate: float) -> None:
        self.folder, self.link = folder, Link(rate)
        self._sent: dict[str, int] = {}
        self._requests = 0
        self._lock = threading.Lock()

    def path(self, key: str) -> Path | None:
        """Return the file of an address below the root: ``/bucket/key``."""
        path = self.folder.joinpath(*[part for part in key.split("/")[2:] if part not in ("", "..")])
        return path if path.is_file() else None

    def count(self, key: str, sent: int) -> None:
        """Note that so many bytes were sent."""
        with self._lock:
            self._sent[key] = self._sent.get(key, 0) + sent
            self._requests += 1

    def counts(self) -> dict[str, object]:
        """Return what was sent since the last call of this, and forget it."""
        with self._lock:
            found = {"sent": dict(self._sent), "requests": self._requests}
            self._sent.clear()
            self._requests = 0
        return found

    def listing(self, query: dict[str, list[str]]) -> bytes:
        """Return the answer to S3's ListObjectsV2."""
        prefix = query.get("prefix", [""])[0]
        keys = [path.relative_to(self.folder).as_posix() for path in sorted(self.folder.rglob("*")) if path.is_file()]
        found = [key for key in keys if key.startswith(prefix)]
        entries = "".join(_entry(key, self.folder / key) for key in found)
        count = f"<KeyCount>{len(found)}</KeyCount><IsTruncated>false</IsTruncated>"
        name = "http://s3.amazonaws.com/doc/2006-03-01/"
        return f'<ListBucketResult xmlns="{name}">{count}{entries}</ListBucketResult>'.encode()


def _entry(key: str, path: Path) -> str:
    date = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(path.stat().st_mtime))
    size = f"<Size>{path.stat().st_size}</Size><LastModified>{date}</LastModified>"
    return f"<Contents><Key>{escape(key)}</Key>{size}<ETag>{escape(tag(path))}</ETag></Contents>"


def tag(path: Path) -> str:
    """Return an ETag: it changes with the file's date and size."""
    return f'"{path.stat().st_mtime_ns:x}-{path.stat().st_size:x}"'
