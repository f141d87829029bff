"""The parent that ``faults_forks.py`` starts: it has imported the tool once, and forks a process for every request.

A request is one line of JSON on standard input, the answer one line on standard output. Not for the command line.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from ctypes import CDLL, c_double, c_long, c_longlong
from pathlib import Path
from typing import Any

Request = dict[str, Any]
_PAUSE = 0.001


def serve() -> int | None:
    """Answer requests until there are no more; return the exit code in a process that was forked, else None."""
    from merge import cli

    answers = os.dup(1)
    for line in sys.stdin:
        request = json.loads(line)
        gc.freeze()  # collecting what was imported would copy it into every process
        child = os.fork()
        if child == 0:
            return _perform(request, cli.main)
        ending = _await(child, request) | _told(Path(request["told"]))
        os.write(answers, json.dumps(ending).encode() + b"\n")
    return None


def _perform(request: Request, main: Any) -> int:
    """Run the tool as a process of its own would; what it met is told in a file when it ends by itself."""
    os.setsid()
    for descriptor, name in enumerate(request["streams"]):
        _redirect(descriptor, name)
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    sys.argv = ["merge", *request["arguments"]]
    shim = CDLL(None)
    if request["clock"]:
        shim.faults_clock(*map(c_double, request["clock"]))
    if request["user"]:
        os.setgid(request["user"])
        os.setuid(request["user"])
    fault = request["fault"]
    shim.faults_arm(
        os.fsencode(fault["under"]),
        fault["action"],
        fault["detail"],
        c_long(fault["number"]),
        fault["kinds"],
        c_long(fault["again"]),
        fault["lasting"],
    )
    code = _called(main, request["arguments"])
    _tell(shim, request)
    return code


def _redirect(descriptor: int, name: str | None) -> None:
    """Let a standard stream lead to a file; None: closed."""
    if name is None:
        os.close(descriptor)
        return
    opened = os.open(name, os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(opened, descriptor)
    os.close(opened)


def _called(main: Any, arguments: list[str]) -> int:
    try:
        code = main(arguments)
        sys.stdout.flush()
        return int(code or 0)
    except SystemExit as leave:
        return int(leave.code or 0)
    except BaseException:  # as the interpreter would end
        traceback.print_exc()
        return 1


def _tell(shim: Any, request: Request) -> None:
    shim.faults_written.restype = c_longlong
    found = {"seen": shim.faults_seen(), "fired": shim.faults_fired(), "written": shim.faults_written()}
    shim.faults_arm(b"", 0, 0, c_long(0), 0, c_long(0), 0)
    modules = [name for name in sys.modules if name.split(".")[0] != "__main__"] if request["learn"] else []
    with suppress(PermissionError):  # of another user
        Path(request["told"]).write_text(json.dumps(found | {"modules": modules}))


def _told(path: Path) -> dict[str, Any]:
    """Return what a process told, and import what it has imported, so that the next ones need not."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except OSError:
        return {"seen": 0, "fired": 1, "written": 0}
    path.unlink()
    for name in found.pop("modules"):
        with suppress(Exception):
            importlib.import_module(name)
    return found


def _await(child: int, request: Request) -> dict[str, Any]:
    """Wait for the end of a process; kill it when its time is up, and do meanwhile what was asked when it stops."""
    began, hung = time.monotonic(), False
    while True:
        ended, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
        if ended and not os.WIFSTOPPED(status):
            return {"code": os.waitstatus_to_exitcode(status), "hung": hung, "seconds": time.monotonic() - began}
        if ended:
            _meddle(request["meanwhile"])
            os.kill(child, signal.SIGCONT)
        elapsed = time.monotonic() - began
        if (hung := elapsed > request["limit"]) or (request["after"] and elapsed > request["after"]):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return {"code": -signal.SIGKILL, "hung": hung, "seconds": elapsed}
        time.sleep(_PAUSE)


def _leave(code: int) -> None:
    """End as the interpreter does, but for taking a thousand modules down, which takes seconds."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _meddle(meanwhile: list[str]) -> None:
    """Run a little program while the tool is stopped."""
    if meanwhile:
        pid = os.spawnv(os.P_WAIT, meanwhile[0], meanwhile)
        if pid:
            raise RuntimeError(f"{meanwhile} failed")


if __name__ == "__main__":
    _leave(serve() or 0)
