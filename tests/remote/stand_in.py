"""A server on this machine that speaks as the hub, a web server and S3 do, counts what it sends, and fails on demand.

Paths below ``/files/`` are plain files, and the objects of a bucket of that name. A repository's files are redirected
to another host's name where ``redirects`` says so, as the hub does with large files.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from fake_hub import FakeHub, Files, Repository, commit_of, files_in

SHORT = 50_000  # bytes that a server sends at most
RATE = 4 * 2**10  # bytes at a time of a slow answer


class Seen(NamedTuple):
    """A request: its range's first byte and the bytes of content that were sent."""

    method: str
    host: str
    path: str
    first: int
    sent: int
    token: str | None


@dataclass
class Fault:
    """What goes wrong with requests for a path that holds these words.

    Attributes:
        kind: A status, or ``drop`` (in the middle), ``etag`` or ``date`` (another one), ``slow``, ``silent`` for a
            while, ``short`` of what was asked for, ``whole`` (no range), ``size``, ``flip`` (of the last bit).
        times: How often; then all is well.
        since: Only ranges from this byte on.
        headers: Sent with a status.
        content: Sent with a status.
        heads: Also for requests of the head alone.
    """

    kind: int | str
    path: str = ".safetensors"
    times: int = 1
    since: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    heads: bool = False


def tagged(data: bytes) -> dict[str, str]:
    """Return the headers that tell of the version of a plain file: a strong ETag."""
    return {"ETag": _tag(data)}


@dataclass
class StandIn(FakeHub):
    """See the module.

    Attributes:
        files: Plain files by their path below ``/files/``.
        faults: What will go wrong.
        seen: What was asked for.
        gated, private: Names of repositories; the latter ask for the token ``good``.
        versions: Headers that tell of the version of a plain file, by its content.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    redirects: bool = False
    gated: frozenset[str] = frozenset()
    private: frozenset[str] = frozenset()
    versions: Callable[[bytes], dict[str, str]] = tagged
    lock: Any = field(default_factory=Lock)

    def __enter__(self) -> StandIn:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stand_in": self}))
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def fault(self, path: str, first: int, *, head: bool = False) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.path in path and first >= fault.since and (fault.heads or not head):
                    fault.times -= 1
                    return fault
        return None

    def reply(self, host: str, path: str, body: bytes, token: str | None) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and content."""
        if refusal := self._refusal(path, token):
            return refusal
        if found := re.fullmatch(r"/api/models/(.+)/refs", path):
            names = [
                {"name": name, "ref": f"refs/heads/{name}", "targetCommit": "0" * 40} for name in self._names(found[1])
            ]
            return 200, {}, json.dumps({"branches": names, "tags": [], "converts": []}).encode()
        if path.startswith("/files/"):
            data = self.files.get(path.removeprefix("/files/"))
            return (404, {}, b"") if data is None else (200, self.versions(data), data)
        if path.startswith("/cdn/"):
            status, headers, data = self.answer(path.removeprefix("/cdn"), b"")
            return status, {"ETag": headers.get("ETag", "")}, data
        status, headers, data = self.answer(path, body)
        if self.redirects and status == 200 and path.endswith(".safetensors"):
            more = {"Location": f"http://localhost:{self.port}/cdn{path}", "X-Linked-Size": str(len(data))}
            return 302, headers | more, b""
        return status, headers, data

    def listing(self, prefix: str) -> tuple[int, dict[str, str], bytes]:
        """Return the objects of the bucket as S3 lists them."""
        found = {key: data for key, data in self.files.items() if key.startswith(prefix)}
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(data)}</Size><ETag>{escape(_tag(data))}</ETag></Contents>"
            for key, data in found.items()
        )
        name = "http://s3.amazonaws.com/doc/2006-03-01/"
        content = f'<ListBucketResult xmlns="{name}"><KeyCount>{len(found)}</KeyCount>{entries}</ListBucketResult>'
        return 200, {"Content-Type": "application/xml"}, content.encode()

    def _file(self, kind: str, name: str, revision: str, path: str) -> Any:
        """Return a file as the hub does; with a tag by its beginning, so that large ones are cheap."""
        found = getattr(self, kind)[name].find(revision) if name in getattr(self, kind) else None
        if found is None or path not in found[1]:
            return super()._file(kind, name, revision, path)
        commit, data = found[0], found[1][path]
        return 200, {"ETag": _tag(data), "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}, data

    def _describe(self, kind: str, name: str, what: str, revision: str, below: str, body: bytes) -> Any:
        """Describe a revision with the digests of its large files, as the hub does when it is asked for them."""
        found = super()._describe(kind, name, what, revision, below, body)
        if what != "revision" or found[0] != 200:
            return found
        files = getattr(self, kind)[name].find(revision)[1]
        large = {path: data for path, data in files.items() if path.endswith(".safetensors")}
        described = json.loads(found[2])
        for sibling in described["siblings"]:
            if data := large.get(sibling["rfilename"]):
                sibling["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 100}
        return found[0], found[1], json.dumps(described).encode()

    def _names(self, name: str) -> list[str]:
        return list(self.models[name].revisions) if name in self.models else []

    def _refusal(self, path: str, token: str | None) -> tuple[int, dict[str, str], bytes] | None:
        name = next((name for name in (*self.gated, *self.private) if f"/{name}/" in f"{path}/"), None)
        if token == "Bearer bad":
            return 401, {"X-Error-Message": "Invalid credentials in Authorization header"}, b""
        if name in self.private and token != "Bearer good" and not path.startswith("/cdn/"):
            return 401, {"X-Error-Code": "RepoNotFound"}, b""
        if name in self.gated and "/resolve/" in path and not path.endswith(".json"):
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        return None

    def sent(self, suffix: str = ".safetensors") -> int:
        """Return how many bytes of files with such names were sent."""
        return sum(seen.sent for seen in self.seen if seen.path.endswith(suffix))

    def requests(self, suffix: str = ".safetensors") -> int:
        return sum(seen.path.endswith(suffix) and seen.sent > 0 for seen in self.seen)


def _tag(data: bytes) -> str:
    return f'"{hashlib.sha1(data[:1000]).hexdigest()}"'


class Known(Repository):
    """A repository whose commits are computed once."""

    def find(self, revision: str) -> tuple[str, Files] | None:
        commits = self.__dict__.setdefault(
            "commits", {name: commit_of(files) for name, files in self.revisions.items()}
        )
        name = next((name for name, commit in commits.items() if revision in (name, commit)), None)
        return None if name is None else (commits[name], self.revisions[name])


def repository(folder: Path, **revisions: Path) -> Repository:
    """Return a repository with a folder's files in ``main``, and other folders' in other revisions."""
    return Known({"main": files_in(folder)} | {name: files_in(path) for name, path in revisions.items()})


def _part(headers: dict[str, str], data: bytes, first: int, end: str, kind: Any) -> tuple[int, dict[str, str], bytes]:
    """Return the answer to a request for a range."""
    if first >= len(data):
        return 416, {"Content-Range": f"bytes */{len(data)}"}, b""
    last = min(int(end or len(data)), len(data) - 1, first + SHORT - 1 if kind == "short" else len(data))
    total = len(data) + (1 if kind == "size" else 0)
    return 206, headers | {"Content-Range": f"bytes {first}-{last}/{total}"}, data[first : last + 1]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits for the acknowledgement of its headers
    stand_in: StandIn

    def _reply(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        path = unquote(urlsplit(self.path).path)
        token, host = self.headers.get("Authorization"), self.headers.get("Host", "")
        body = self.rfile.read(length)
        if path.rstrip("/") == "/files":
            status, headers, data = self.stand_in.listing(parse_qs(urlsplit(self.path).query).get("prefix", [""])[0])
        else:
            status, headers, data = self.stand_in.reply(host, path, body, token)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        first = int(wanted[1]) if wanted else 0
        head = self.command == "HEAD" and ".safetensors" in path
        may_fail = status == 200 and (wanted or head or ".safetensors" not in path)
        fault = self.stand_in.fault(path, first, head=head) if may_fail else None
        kind = fault.kind if fault else ""
        if fault and isinstance(kind, int):
            status, headers, data = kind, dict(fault.headers), fault.content
        elif wanted and status == 200 and kind != "whole":
            status, headers, data = _part(headers, data, first, wanted[2], kind)
        headers |= {"etag": {"ETag": '"another"'}, "date": {"Last-Modified": formatdate(0)}}.get(str(kind), {})
        data = data[:-1] + bytes([data[-1] ^ 1]) if kind == "flip" else data
        sent = len(data) // 2 if kind == "drop" else len(data)
        with self.stand_in.lock:
            counted = sent if self.command == "GET" else 0
            self.stand_in.seen.append(Seen(self.command, host, path, first, counted, token))
        self._send(status, headers, data, kind)

    def _send(self, status: int, headers: dict[str, str], data: bytes, kind: Any) -> None:
        self.send_response_only(status)
        own = {"Date": self.date_time_string(), "Content-Length": str(len(data))}
        for name, value in {**own, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send_content(data, kind)

    def _send_content(self, data: bytes, kind: Any) -> None:
        if kind == "silent":
            time.sleep(0.6)
        if kind == "drop":
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        elif kind == "slow":
            for start in range(0, len(data), RATE):
                self.wfile.write(data[start : start + RATE])
                time.sleep(0.002)
        else:
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = _reply

    def handle(self) -> None:
        """Answer the requests of one connection, until the client has had enough."""
        with suppress(OSError):
            super().handle()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing."""
