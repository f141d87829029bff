"""An S3 server on this machine that fails on demand: moto behind a door that answers for it now and then."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

_REFUSAL = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code} for the test</Message></Error>"
_REASONS = {403: "Forbidden", 404: "Not Found", 500: "Internal Server Error", 501: "Not Implemented", 503: "Slow Down"}


@dataclass
class Fault:
    """What goes wrong with requests of a method whose path and query hold some words.

    Attributes:
        method: ``PUT``, …
        words: All of them.
        code: Of the refusal, ``drop`` for a connection that breaks, ``hang`` until `FaultyS3.released` is set, or
            ``lose`` for an answer that is lost although the request was done.
        times: How often; then all is well.
        first: How many such requests are well before.
    """

    method: str
    words: tuple[str, ...]
    code: str
    status: int = 500
    times: int = 1
    first: int = 0


@dataclass
class FaultyS3:
    """See the module.

    Attributes:
        seen: Method and path with query of every request.
    """

    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    released: Event = field(default_factory=Event)

    def __enter__(self) -> FaultyS3:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._lock = Lock()
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.port}"
        return self

    def __exit__(self, *error: object) -> None:
        self.released.set()
        self._server.shutdown()

    def well(self) -> None:
        """Let everything be well again."""
        self.released.set()
        self.faults.clear()
        self.seen.clear()
        self.released = Event()

    def _fault(self, request: str) -> Fault | None:
        with self._lock:
            self.seen.append(request)
            for fault in self.faults:
                if not request.startswith(fault.method) or not all(word in request for word in fault.words):
                    continue
                if fault.first:
                    fault.first -= 1
                elif fault.times:
                    fault.times -= 1
                    return fault
        return None

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        fault = self._fault(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}")
        if fault is None:
            return self._app(environ, start)
        if fault.code == "hang":
            self.released.wait(60)
        if fault.code == "lose":
            list(self._app(environ, start))
        if fault.code in ("drop", "hang", "lose"):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start(f"{fault.status} {_REASONS[fault.status]}", [("Content-Type", "application/xml")])
        return [_REFUSAL.format(code=fault.code).encode()]
