"""Records docs/images/terminal.svg: real commands in a real terminal, as an animation without scripts.

`python -m docs.recording` trains the demo's models, types the commands, and keeps what the terminal showed, and when.
It needs a system with pseudo-terminals, and `pip install '.[docs]'`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from docs.terminal_svg import Frame, drawn

OUT = Path(__file__).resolve().parent / "images" / "terminal.svg"
COLUMNS, ROWS = 108, 26
COMMANDS = (
    "merge soup tuned-1 tuned-2 tuned-3 -o soup",
    "merge eval base tuned-1 soup --benchmark digits",
    "merge verify soup",
)
TYPING, READING, LONGEST_WAIT = 0.05, 2.5, 1.0  # seconds: a letter; after each command; without a change


def record(folder: Path, commands: Sequence[str] = COMMANDS) -> list[Frame]:
    """Run commands one after another in a terminal of their own.

    Args:
        folder: Where they run.
        commands: As one types them.

    Raises:
        RuntimeError: A command failed.
    """
    import pyte

    screen = pyte.Screen(COLUMNS, ROWS)
    stream, now, frames = pyte.ByteStream(screen), 0.0, [Frame(0.0, _lines(screen))]
    for command in commands:
        for end in range(len(command) + 1):
            stream.feed(b"\r$ " + command[:end].encode())
            frames.append(Frame(now, _lines(screen)))
            now += TYPING
        stream.feed(b"\r\n")
        changed = time.monotonic()
        for output in _outputs(shlex.split(command), folder):
            stream.feed(output)
            if _lines(screen) != frames[-1].lines:
                changed, waited = time.monotonic(), time.monotonic() - changed
                now += min(waited, LONGEST_WAIT)
                frames.append(Frame(now, _lines(screen)))
        now += READING
    return [*frames, Frame(now, _lines(screen))]


def _lines(screen: Any) -> tuple[str, ...]:
    return tuple(row.rstrip() for row in screen.display)


def _outputs(words: Sequence[str], folder: Path) -> Iterator[bytes]:
    """Run a command at the end of a pseudo-terminal and yield what it prints, as it comes."""
    import pty

    ours, theirs = pty.openpty()
    size = {"COLUMNS": str(COLUMNS), "LINES": str(ROWS), "TERM": "linux", "NO_COLOR": "1"}
    environment = os.environ | size | {"MERGE_RATES": "off"}
    program = [sys.executable, "-m", *words]
    process = subprocess.Popen(  # noqa: S603 - commands of this file
        program, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment
    )
    os.close(theirs)
    try:
        yield from _read(ours)
    finally:
        os.close(ours)
    if process.wait() != 0:
        raise RuntimeError(f"{shlex.join(words)}: exit code {process.returncode}")


def _read(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            output = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other end is closed
            return
        if not output:
            return
        yield output


def main() -> None:
    """Train, record, write."""
    with tempfile.TemporaryDirectory() as folder:
        from merge.demo import run_demo

        demo = Path(folder) / "demo"
        run_demo(demo)
        shutil.rmtree(demo / "soup")
        OUT.write_text(drawn(record(demo), COLUMNS), "utf-8")


if __name__ == "__main__":
    main()
