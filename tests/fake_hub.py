"""A hub on this machine: enough of the Hugging Face hub's interface to list and download repositories.

A process uses it by its environment (``HF_ENDPOINT``, ``HF_HOME``), which the libraries read when they are imported.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

Files = Mapping[str, bytes]
_DESCRIBED = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+)(/.*)?)?")
_STORED = re.compile(r"(/datasets)?/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass(frozen=True)
class Repository:
    """Files by path for every revision; the commit of a revision is a digest of them."""

    revisions: Mapping[str, Files]

    def find(self, revision: str) -> tuple[str, Files] | None:
        """Return the commit and the files of a branch, tag or commit."""
        for name, files in self.revisions.items():
            if revision in (name, commit_of(files)):
                return commit_of(files), files
        return None


def commit_of(files: Files) -> str:
    """Return 40 hexadecimal digits."""
    return hashlib.sha1(b"".join(name.encode() + data for name, data in sorted(files.items()))).hexdigest()


def files_in(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@dataclass
class FakeHub:
    """Serves ``models`` and ``datasets`` by ``org/name`` while it is open, and keeps the paths that were asked for."""

    models: Mapping[str, Repository] = field(default_factory=dict)
    datasets: Mapping[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> FakeHub:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self, home: Path, *, offline: bool = False) -> dict[str, str]:
        """Return the variables of a process that uses this hub, with a cache of its own."""
        more = {"HF_HUB_OFFLINE": "1"} if offline else {}
        return {"HF_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}", "HF_HOME": str(home), **more}

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and content for a path."""
        self.asked.append(path)
        if found := _DESCRIBED.fullmatch(path):
            kind, name, what, revision, below = found.groups()
            return self._describe(kind, name, what or "revision", unquote(revision or "main"), (below or "/")[1:], body)
        if found := _STORED.fullmatch(path):
            kind = "datasets" if found[1] else "models"
            return self._file(kind, found[2], unquote(found[3]), unquote(found[4]))
        return _missing("EntryNotFound")

    def _describe(self, kind: str, name: str, what: str, revision: str, below: str, body: bytes) -> Any:
        repository = getattr(self, kind).get(name)
        if repository is None:
            return _missing("RepoNotFound")
        if (found := repository.find(revision)) is None:
            return _missing("RevisionNotFound")
        commit, files = found
        if what == "revision":
            siblings = [{"rfilename": file} for file in files]
            return _json({"id": name, "sha": commit, "private": False, "tags": [], "siblings": siblings})
        entries = _entries(files)
        if what == "paths-info":
            wanted = json.loads(body)["paths"] if body.startswith(b"{") else re.findall(r"paths=([^&]*)", body.decode())
            return _json([entry for entry in entries if entry["path"] in [unquote(path) for path in wanted]])
        return _json([entry for entry in entries if entry["path"].startswith(f"{unquote(below)}/" if below else "")])

    def _file(self, kind: str, name: str, revision: str, path: str) -> Any:
        repository = getattr(self, kind).get(name)
        if repository is None:
            return _missing("RepoNotFound")
        if (found := repository.find(revision)) is None:
            return _missing("RevisionNotFound")
        commit, files = found
        if path not in files:
            return (404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, b"")
        data = files[path]
        etag = f'"{hashlib.sha1(data).hexdigest()}"'
        return 200, {"ETag": etag, "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}, data


def _entries(files: Files) -> list[dict[str, Any]]:
    """Return files and folders as the hub lists them."""
    folders = {str(parent) for file in files for parent in Path(file).parents} - {"."}
    listed = [{"type": "directory", "path": folder, "oid": "0" * 40, "size": 0} for folder in sorted(folders)]
    return listed + [
        {"type": "file", "path": file, "oid": hashlib.sha1(data).hexdigest(), "size": len(data)}
        for file, data in files.items()
    ]


def _json(value: Any) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _missing(code: str) -> tuple[int, dict[str, str], bytes]:
    return 404, {"X-Error-Code": code}, b"{}"


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _reply(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            status, headers, data = hub.answer(urlsplit(self.path).path, self.rfile.read(length))
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
            if wanted and status == 200:
                first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
                headers = headers | {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
                status, data = 206, data[first : last + 1]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_HEAD = do_POST = _reply

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Say nothing."""

    return Handler
