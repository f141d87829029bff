"""Runs the tool with a fault at one of its calls to the system: compiles the shim, keeps the parent that forks."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
READ, WRITE, CREATE, REMOVE, SYNC, MAP, PLACE = 1, 2, 4, 8, 16, 32, 64
ANY = 127
_ACTIONS = {"nothing": 0, "fail": 1, "short": 2, "torn": 3, "signal": 4}


@dataclass(frozen=True)
class Fault:
    """What goes wrong.

    Attributes:
        action: ``fail`` (with the errno ``detail``), ``short``, ``torn`` (half a write, then a kill), ``signal``.
        number: Of the call, from 1.
        kinds: The calls that count.
        again: Call at which the signal comes a second time.
        lasting: Whether every later call fails as well.
    """

    action: str = "nothing"
    detail: int = 0
    number: int = 0
    kinds: int = ANY
    again: int = 0
    lasting: bool = False


NO_FAULT = Fault()
FULL = Fault("fail", errno.ENOSPC, kinds=WRITE | CREATE | SYNC)
BAD_WRITE = Fault("fail", errno.EIO, kinds=WRITE | CREATE | SYNC | PLACE)
BAD_READ = Fault("fail", errno.EIO, kinds=READ)
SHORT = Fault("short", kinds=READ | WRITE)
KILL = Fault("signal", signal.SIGKILL)
TORN = Fault("torn")
TERMINATE = Fault("signal", signal.SIGTERM)
INTERRUPT = Fault("signal", signal.SIGINT)
STOP = Fault("signal", signal.SIGSTOP)


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        code: Exit code; the negative of a signal.
        hung: Whether it had to be killed because its time was up.
        seen: Calls that counted, where it ended by itself.
        fired: How often the fault came; 1 after a kill.
        written: Bytes that were written by calls of the kind WRITE.
    """

    code: int
    out: str
    err: str
    hung: bool
    seen: int
    fired: int
    written: int
    seconds: float


@dataclass(frozen=True)
class Surroundings:
    """What a run finds around it.

    Attributes:
        environment: More variables.
        streams: Files that its standard streams lead to, where they are not the usual ones; None: closed.
        clock: What the time of day begins with, and by how much it goes on at every look.
        user: Number of the user and group that it runs as.
        meanwhile: A program that is run while it is stopped.
        after: Seconds after which it is killed.
    """

    environment: dict[str, str] = field(default_factory=dict)
    streams: dict[int, str | None] = field(default_factory=dict)
    clock: tuple[float, float] | None = None
    user: int = 0
    meanwhile: Sequence[str] = ()
    after: float = 0.0


QUIET = Surroundings()


def why_not() -> str | None:
    """Return why faults cannot be injected here, or None."""
    if sys.platform != "linux":
        return "LD_PRELOAD is used as Linux has it"
    return None if _compiler() else "there is no C compiler"


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


class Forks:
    """A process that has imported the tool, and whose children run it.

    Args:
        folder: For what it needs itself. Files below its parent are those that are watched.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self.watched = folder, folder.parent.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        shim = folder / "shim.so"
        compiler = _compiler() or "cc"
        subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", shim, HERE / "faults_shim.c", "-ldl"], check=True)
        command = [sys.executable, str(HERE / "faults_server.py")]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._server = subprocess.Popen(command, env=_environment(shim), cwd=folder, text=True, **pipes)

    def __enter__(self) -> Forks:
        """Return itself."""
        return self

    def __exit__(self, *details: object) -> None:
        """End the parent."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(60)

    def run(
        self,
        arguments: Sequence[object],
        folder: Path,
        fault: Fault = NO_FAULT,
        around: Surroundings = QUIET,
        *,
        learn: bool = False,
        limit: float = 120.0,
        under: Path | None = None,
    ) -> Ending:
        """Run the tool in a folder; ``learn``: what it imports is there for later runs; ``under``: what is watched."""
        streams: dict[int, str | None] = {0: os.devnull, 1: str(self._folder / "out"), 2: str(self._folder / "err")}
        request = {
            "arguments": list(map(str, arguments)),
            "folder": str(folder),
            "environment": {"TMPDIR": str(_made(folder.parent / "temporary"))} | around.environment,
            "streams": list((streams | around.streams).values()),
            "fault": {**vars(fault), "action": _ACTIONS[fault.action], "under": str(under or self.watched)},
            "clock": around.clock,
            "user": around.user,
            "meanwhile": list(around.meanwhile),
            "after": around.after,
            "limit": limit,
            "learn": learn,
            "told": str(self._folder / "told"),
        }
        for name in ("out", "err"):
            (self._folder / name).write_bytes(b"")
        found = self._ask(request)
        texts = {name: (self._folder / name).read_text("utf-8", "surrogateescape") for name in ("out", "err")}
        return Ending(**found, **texts)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        if not answer:
            raise RuntimeError(f"the parent has ended with {self._server.wait(10)}")
        found: dict[str, Any] = json.loads(answer)
        return found


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _environment(shim: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MERGE_", "PYTHON"))}
    own = {"LD_PRELOAD": str(shim), "PYTHONPATH": str(HERE.parent), "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}
    return kept | own | {"MERGE_RATES": "off", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def at(fault: Fault, number: int, again: int = 0) -> Fault:
    """Return a fault at another call."""
    return replace(fault, number=number, again=again)


def temporary_workshop(parent: Path | None) -> tempfile.TemporaryDirectory[str]:
    """Return a folder to work in; its path has no link in it, since the shim compares paths as they are written."""
    return tempfile.TemporaryDirectory(prefix="merge-faults-", dir=(parent or Path(tempfile.gettempdir())).resolve())
