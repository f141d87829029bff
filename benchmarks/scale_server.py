"""A server of files by ranges, as slow as it is told: it speaks enough of S3 for its clients, counts what it sends.

Run by `scale_store.py` as a process of its own, so that it shares no interpreter with what is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from scale_served import Range, Served, tag, wanted

PORTION = 2**17  # bytes that are sent between two looks at the clock
_CONTROL = "/-/"  # below it lie the counts


class Handler(BaseHTTPRequestHandler):
    """Answers requests of S3's path style, and plain ones, with ranges."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    served: Served

    def do_GET(self) -> None:
        """Answer with a file, the list of the bucket, or the counts."""
        address = urlsplit(self.path)
        key = unquote(address.path)
        if key.startswith(_CONTROL):
            self._send(json.dumps(self.served.counts()).encode(), "application/json")
        elif key.strip("/").count("/") == 0:
            self._send(self.served.listing(parse_qs(address.query)), "application/xml")
        else:
            self._file(key)

    do_HEAD = do_GET  # noqa: N815 - the name that the library looks for

    def _send(self, content: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def _file(self, key: str) -> None:
        path = self.served.path(key)
        if path is None:
            self._send(b"<Error><Code>NoSuchKey</Code></Error>", "application/xml", 404)
            return
        asked = wanted(self.headers.get("Range"), path.stat().st_size)
        if asked is None:
            self._send(b"<Error><Code>InvalidRange</Code></Error>", "application/xml", 416)
            return
        self._head(path, asked)
        if self.command == "GET":
            self._content(path, key, asked)

    def _head(self, path: Path, asked: Range) -> None:
        partial = "Range" in self.headers
        self.send_response(206 if partial else 200)
        if partial:
            self.send_header("Content-Range", f"bytes {asked.start}-{asked.stop - 1}/{asked.size}")
        self.send_header("Content-Length", str(asked.stop - asked.start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", tag(path))
        self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
        self.end_headers()

    def _content(self, path: Path, key: str, asked: Range) -> None:
        at = asked.start
        try:
            with path.open("rb") as file:
                while at < asked.stop:
                    portion = min(PORTION, asked.stop - at)
                    self.served.link.take(portion)
                    at += self.connection.sendfile(file, at, portion)
        finally:
            self.served.count(key, at - asked.start)

    def handle(self) -> None:
        """Answer the requests of one connection, until the client has had enough."""
        with suppress(OSError):
            super().handle()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing."""


def main() -> None:
    """Serve a folder until the standard input closes; the port is the first line of the output."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rate", type=float, default=0, help="bytes per second, all connections together")
    options = parser.parse_args()
    Handler.served = Served(options.folder, options.rate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
