"""Call the tool as a process or as a function, and look at what it left behind."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import merge

ROOT = Path(merge.__file__).parent.parent


class Result(NamedTuple):
    """How a run ended."""

    code: int
    out: str
    err: str


def called(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Call ``main``; help and version may leave by SystemExit."""
    try:
        return main(arguments)
    except SystemExit as leave:
        return int(leave.code or 0)


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which a process finds this checkout, without any of the tool's own variables.

    What merges measure is kept nowhere.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MERGE_", "PYTHON"))}
    return (
        kept | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1", "MERGE_RATES": "off"} | more
    )


def command(*arguments: object) -> list[str]:
    """Return the command of a process."""
    return [sys.executable, "-m", "merge", *map(str, arguments)]


def start(*arguments: object, cwd: Path, **more: Any) -> subprocess.Popen[str]:
    """Start the tool as a process."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command(*arguments), text=True, cwd=cwd, env=environment(), **(pipes | more))


def run(*arguments: object, cwd: Path, **more: Any) -> Result:
    """Run the tool as a process to its end."""
    process = start(*arguments, cwd=cwd, **more)
    out, err = process.communicate(timeout=180)
    return Result(process.returncode, out or "", err or "")


def contents(folder: Path) -> dict[str, str]:
    """Return every path below a folder, hidden ones included, with what it holds."""
    return {str(path.relative_to(folder)): _content(path) for path in sorted(folder.rglob("*"))}


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return "folder" if path.is_dir() else hashlib.file_digest(path.open("rb"), "sha256").hexdigest()


def assert_refused(result: Result, code: int, *words: str) -> None:
    """Assert one clear line on stderr that holds all words, nothing on stdout, and the exit code."""
    assert result.code == code, result
    assert result.out == ""
    lines = [line for line in result.err.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1, result.err
    assert lines[0].startswith("merge: ")
    assert "Traceback" not in result.err
    assert "unexpected" not in result.err
    for word in words:
        assert word in lines[0], result.err
