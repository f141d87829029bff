"""What a server may do to us: lead elsewhere, send without end, name files outside. Secrets stay with their host."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from checkpoint_files import random_state, save
from command_line import Result, assert_refused

from merge.checkpoints.remote import http_file, patience, store

Cli = Callable[..., Result]
SECRET = "Basic " + base64.b64encode(b"me:pa55").decode()


class Served:
    """A server on this machine, known under two names: files by path, redirects by path, and what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.leads: dict[str, str] = {}
        self.seen: list[tuple[str, str, str | None]] = []
        handler = type("Handler", (_Handler,), {"served": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # that the client goes is no news
        self.port = self.server.server_port
        Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://me:pa55@127.0.0.1:{self.port}"

    @property
    def other(self) -> str:
        return f"http://localhost:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Served

    def do_GET(self) -> None:
        self.served.seen.append((self.headers["Host"], self.path, self.headers.get("Authorization")))
        if self.path in self.served.leads:
            self._send(302, b"", Location=self.served.leads[self.path])
            return
        data = self.served.files.get(self.path)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if data is None:
            self._send(404, b"")
        elif wanted:
            first, last = int(wanted[1]), min(int(wanted[2]), len(data) - 1)
            self._send(206, data[first : last + 1], **{"Content-Range": f"bytes {first}-{last}/{len(data)}"})
        else:
            self._send(200, data)

    do_HEAD = do_GET

    def _send(self, status: int, data: bytes, **headers: str) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(data)), "ETag": '"1"', **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            with suppress(OSError):
                self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(patience, "LONGEST_WAIT", 0.02)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    http_file._starts.clear()
    found = Served()
    save(tmp_path / "disk" / "model.safetensors", random_state(0))
    found.files["/a/model.safetensors"] = (tmp_path / "disk" / "model.safetensors").read_bytes()
    yield found
    found.server.shutdown()
    found.server.server_close()


def elsewhere(served: Served) -> list[tuple[str, str | None]]:
    """Return what the other name of the server was asked for, and with which secret."""
    return [(path, secret) for host, path, secret in served.seen if host.startswith("localhost")]


@pytest.mark.parametrize("what", ["", "/model.safetensors"])
def test_a_password_goes_to_the_first_host_alone(cli: Cli, here: Path, served: Served, what: str) -> None:
    served.leads = {f"/m/{name}": f"{served.other}/a/{name}" for name in ("model.safetensors", "config.json")}
    served.files["/a/config.json"] = b"{}"
    result = cli("inspect", f"{served.address}/m{what}")
    assert result.code == 0, result.err
    assert elsewhere(served)
    assert {secret for _, secret in elsewhere(served)} == {None}
    assert SECRET in {secret for _, _, secret in served.seen}


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://localhost/a", "javascript:1"])
@pytest.mark.parametrize("what", ["", "/model.safetensors"])
def test_redirects_to_what_is_no_web_address(cli: Cli, here: Path, served: Served, target: str, what: str) -> None:
    served.leads = {"/m/model.safetensors": target, "/m/model.safetensors.index.json": target}
    assert_refused(cli("inspect", f"{served.address}/m{what}"), 1, "/m/model.safetensors", "no web address")


def test_redirects_without_end(cli: Cli, here: Path, served: Served) -> None:
    served.leads = {"/m.safetensors": "/m.safetensors"}
    assert_refused(cli("inspect", f"{served.address}/m.safetensors"), 1, "from one address to another")


def test_a_configuration_without_end(cli: Cli, here: Path, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_BYTES", 2**20)
    served.files["/a/config.json"] = b" " * 2**22
    result = cli("soup", f"{served.address}/a", f"{served.address}/a", "-o", "out", "--quiet")
    assert_refused(result, 1, "/a/config.json", "larger than 1 MB")
    assert not (here / "out").exists()


NAMES = ("//localhost:{port}/a/model.safetensors", "../a/model.safetensors", "/a/model.safetensors", "..", "")


@pytest.mark.parametrize("name", NAMES)
def test_an_index_that_names_files_outside_its_folder(cli: Cli, here: Path, served: Served, name: str) -> None:
    name = name.format(port=served.port)
    served.files["/m/model.safetensors.index.json"] = json.dumps({"weight_map": {"w": name}}).encode()
    assert_refused(cli("inspect", f"{served.address}/m"), 1, "index.json", f"'{name}' outside its folder")
    assert not elsewhere(served)
    assert "/a/model.safetensors" not in {path for _, path, _ in served.seen}


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_same_in_a_store_of_objects(cli: Cli, here: Path, served: Served, name: str) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/m/model.safetensors.index.json", json.dumps({"weight_map": {"w": name}}).encode())
    try:
        assert_refused(cli("inspect", "memory://m"), 1, "index.json", f"'{name}' outside its folder")
    finally:
        memory.rm("/m", recursive=True)


def test_an_object_beside_weights_that_is_far_too_large(
    cli: Cli, here: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    monkeypatch.setattr(store, "MOST_BYTES", 2**20)
    memory = fsspec.filesystem("memory")
    memory.pipe({"/m/model.safetensors": served.files["/a/model.safetensors"], "/m/config.json": b" " * 2**21})
    try:
        result = cli("soup", "memory://m", "memory://m", "-o", "out", "--quiet")
        assert_refused(result, 1, "config.json", "larger than 1 MB")
    finally:
        memory.rm("/m", recursive=True)


@pytest.mark.parametrize("flags", [(), ("--traceback",)])
def test_a_secret_is_in_no_message_and_no_traceback(
    cli: Cli, here: Path, served: Served, flags: tuple[str, ...]
) -> None:
    address = f"{served.address}/gone.safetensors?X-Amz-Signature=s3cr3t&token=t0ken"
    try:
        told = cli("inspect", address, *flags).err
    except Exception as error:  # --traceback lets the interpreter print it
        import traceback

        told = "".join(traceback.format_exception(error))
    assert "gone.safetensors" in told
    assert not [secret for secret in ("pa55", "s3cr3t", "t0ken", SECRET.split()[1]) if secret in told]
