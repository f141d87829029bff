"""The stand-in of the hub, which also takes commits: what huggingface_hub asks of it when it pushes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

from fake_hub import FakeHub, Repository, commit_of

Answer = tuple[int, dict[str, str], bytes]
_API = re.compile(r"/api/models/([^/]+/[^/]+)/(preupload|commit|branch)/([^/]+)")
_BATCH = re.compile(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch")


@dataclass
class WritableHub(FakeHub):
    """See the module.

    Attributes:
        refusals: Status by a part of the path that is answered so.
        private: Repositories that were made private.
        commits: The headers of the commits that were made, with what each deleted.
        writer: The token that may write.
    """

    models: dict[str, Repository] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    private: list[str] = field(default_factory=list)
    commits: list[dict[str, Any]] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    writer: str = "good"

    def __enter__(self) -> WritableHub:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def reply(self, method: str, path: str, body: bytes, token: str) -> Answer:
        """Return status, headers and content."""
        self.asked.append(f"{method} {path}")
        for part, status in self.refusals.items():
            if part in path:
                return status, {}, b'{"error": "no"}'
        if method in ("POST", "PUT") and not path.startswith("/blobs/") and token != f"Bearer {self.writer}":
            return 401, {"X-Error-Message": "Invalid username or password."}, b"{}"
        if path == "/api/validate-yaml":
            return _json({"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path.startswith("/blobs/"):
            self.blobs[path.removeprefix("/blobs/")] = body
            return 200, {}, b""
        if found := _BATCH.fullmatch(path):
            return self._batch(json.loads(body))
        if found := _API.fullmatch(path):
            name, what, revision = found[1], found[2], unquote(found[3])
            return getattr(self, f"_{what}")(name, revision, body)
        return self.answer(path, body)

    def _create(self, asked: dict[str, Any]) -> Answer:
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.models:
            return (
                409,
                {},
                json.dumps({"error": "You already created this model repo", "url": f"{self.url}/{name}"}).encode(),
            )
        self.models[name] = Repository({"main": {}})
        if asked.get("visibility") == "private" or asked.get("private"):
            self.private.append(name)
        return _json({"url": f"{self.url}/{name}", "name": name})

    def _branch(self, name: str, revision: str, body: bytes) -> Answer:
        revisions = dict(self.models[name].revisions)
        if revision in revisions:
            return 409, {}, b'{"error": "Reference already exists"}'
        self.models[name] = Repository(revisions | {revision: revisions["main"]})
        return 200, {}, b""

    def _preupload(self, name: str, revision: str, body: bytes) -> Answer:
        def mode(file: dict[str, Any]) -> str:
            return "lfs" if file["path"].endswith(".safetensors") else "regular"

        files = json.loads(body)["files"]
        return _json(
            {"files": [{"path": file["path"], "uploadMode": mode(file), "shouldIgnore": False} for file in files]}
        )

    def _batch(self, asked: dict[str, Any]) -> Answer:
        objects = []
        for one in asked["objects"]:
            has = one["oid"] in self.blobs
            action = {} if has else {"actions": {"upload": {"href": f"{self.url}/blobs/{one['oid']}", "header": {}}}}
            objects.append({"oid": one["oid"], "size": one["size"], **action})
        return _json({"transfer": "basic", "objects": objects})

    def _commit(self, name: str, revision: str, body: bytes) -> Answer:
        lines = [json.loads(line) for line in body.splitlines()]
        files = dict(self.models[name].revisions[revision])
        made: dict[str, Any] = {"deleted": []}
        for line in lines:
            key, value = line["key"], line["value"]
            if key == "header":
                made |= value
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.blobs[value["oid"]]
                assert hashlib.sha256(files[value["path"]]).hexdigest() == value["oid"]
            elif key == "deletedFile":
                del files[value["path"]]
                made["deleted"].append(value["path"])
        self.commits.append(made)
        self.models[name] = Repository(dict(self.models[name].revisions) | {revision: files})
        oid = commit_of(files)
        return _json({"commitUrl": f"{self.url}/{name}/commit/{oid}", "commitOid": oid, "pullRequestUrl": None})


def _json(value: Any) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: WritableHub

    def _reply(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length or "chunked" not in self.headers.get("Transfer-Encoding", "") else b""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = self._chunks()
        token = self.headers.get("Authorization", "")
        status, headers, data = self.hub.reply(self.command, unquote(urlsplit(self.path).path), body, token)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _reply

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing."""
