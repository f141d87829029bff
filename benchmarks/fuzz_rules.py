"""The rules that every case must keep, and what became of one."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from merge.errors import MergeError, UsageError, printable

SECONDS = 5.0  # of the processor's time, so that a busy machine makes no difference
GROWTH = 500_000_000  # bytes that a case may add to what the process holds
LONGEST = 2500  # characters of a message
ACCEPTED, REFUSED, USAGE = "accepted", "refused (1)", "refused (2)"
OTHER, SLOW, LARGE, LEFT, WORDS = "other exception", "over 5 s", "over 500 MB", "file left", "bad message"
SOUND, FAULTS = (ACCEPTED, REFUSED, USAGE), (OTHER, SLOW, LARGE, LEFT, WORDS)


class Outcome(NamedTuple):
    """What became of a case.

    Attributes:
        kind: One of the above.
        text: The message, or what is wrong.
        seconds: Of the processor's time.
        growth: Bytes of memory that it needed beside what the process held before.
    """

    kind: str
    text: str
    seconds: float
    growth: int


class TooSlowError(BaseException):
    """Ends a case; no handler of ordinary errors stops it."""


def judge(read: Callable[[Path], object], folder: Path, limit: float = SECONDS) -> Outcome:
    """Let a folder be read and tell what became of it."""
    before, held = listing(folder), _reset_peak()
    began = time.process_time()
    kind, text = _run(read, folder, limit)
    seconds, growth = time.process_time() - began, max(0, _peak() - held)
    if kind in SOUND and (left := sorted(listing(folder) ^ before)):
        kind, text = LEFT, f"changed: {left}"
    if kind in SOUND and growth > GROWTH:
        kind, text = LARGE, f"{growth:,} bytes"
    return Outcome(kind, text, seconds, growth)


def listing(folder: Path) -> set[tuple[str, int]]:
    """Return every path below a folder with its size; of folders 0."""
    paths = folder.rglob("*")
    return {(str(path.relative_to(folder)), path.stat().st_size if path.is_file() else 0) for path in paths}


def _run(read: Callable[[Path], object], folder: Path, limit: float) -> tuple[str, str]:
    try:
        with _at_most(limit):
            read(folder)
    except MergeError as error:
        fault = _wrong_words(error)
        kind = USAGE if isinstance(error, UsageError) else REFUSED
        return (WORDS, fault) if fault else (kind, str(error))
    except TooSlowError:
        return SLOW, f"more than {limit:g} s"
    except Exception as error:
        return OTHER, f"{type(error).__name__}: {str(error)[:300]} {_place(error)}"
    return ACCEPTED, ""


def _place(error: BaseException) -> str:
    """Return the innermost line of the tool's own that an error went through."""
    found, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        found = f"({Path(name).name}:{trace.tb_lineno})" if "/merge/" in name or not found else found
        trace = trace.tb_next
    return found


def _wrong_words(error: MergeError) -> str:
    """Return what is wrong with a message, or an empty text."""
    shown = printable(" ".join(str(error).split()))
    if not shown or not error.what.strip():
        return "the message is empty"
    if len(shown) > LONGEST:
        return f"the message has {len(shown):,} characters: {shown[:200]} …"
    found = re.search(r"Traceback| object at 0x|CommentedMap|CommentedSeq|ordereddict", shown)
    return f"the message shows the program's own things: {shown[:300]}" if found else ""


@contextmanager
def _at_most(limit: float) -> Iterator[None]:
    """Raise TooSlowError in the block after so many seconds of the processor's time."""

    def stop(number: int, frame: Any) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _reset_peak() -> int:
    """Forget how much memory the process ever held, where the system can; return how much it holds."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    """Return the most that the process has held since, in bytes."""
    with suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        if found:
            return int(found[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
