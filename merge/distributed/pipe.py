"""A process of this program on this machine that is asked to call functions, and the messages between the two.

It is started like any program rather than forked or spawned by `multiprocessing`: that needs a main module that can be
imported again, which the script of a user of this library may not be.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import IO, Any, NamedTuple

from ..errors import MergeError


class Question(NamedTuple):
    """A function of a module, its arguments, and an iterable as its answer; all of it picklable."""

    function: Callable[..., Iterable[Any]]
    arguments: tuple[Any, ...]


class End:
    """The end of an answer."""


class ProcessLostError(Exception):
    """The process is no longer there."""


class HelperProcess:
    """A process that answers questions."""

    def __init__(self) -> None:
        start = f"import sys; sys.path[:] = {sys.path!r}; from merge.distributed.pipe import serve; serve()"
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter and our own line
            [sys.executable, "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the first process, which ends this one
        )

    def ask(self, question: Question) -> Iterator[Any]:
        """Yield the parts of the answer.

        Raises:
            ProcessLostError: The process has died.
            MergeError: What the process could not do.
        """
        self._send(question)
        while True:
            found = self._receive()
            if isinstance(found, MergeError):
                raise found
            if isinstance(found, End):
                return
            yield found

    def _send(self, message: Any) -> None:
        stream = self._process.stdin
        assert stream is not None  # noqa: S101 - it was asked for
        try:
            pickle.dump(message, stream)
            stream.flush()
        except OSError:
            raise ProcessLostError from None

    def _receive(self) -> Any:
        stream = self._process.stdout
        assert stream is not None  # noqa: S101 - it was asked for
        try:
            return pickle.load(stream)  # noqa: S301 - from our own process
        except (EOFError, OSError, pickle.UnpicklingError):
            raise ProcessLostError from None

    @property
    def epitaph(self) -> str:
        """How the process ended."""
        code = self._process.wait()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def kill(self) -> None:
        """End the process at once; whoever waits for its answer is told that it is lost."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Close the pipes of a process that has ended, when nobody waits for it any more."""
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]


def serve() -> None:
    """Answer questions from standard input until it is closed."""
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not come between the messages
    with suppress(BrokenPipeError, EOFError):  # nobody listens or asks any more
        while True:
            _answer(pickle.load(sys.stdin.buffer), out)  # noqa: S301 - from the process that started this one
    os._exit(0)  # threads that wait for the network would hold the process


def _end_with_parent(parent: int) -> None:
    """End when the process that asks is gone, however it ended: an answer may take hours, and nobody would hear it."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _answer(question: Question, out: IO[bytes]) -> None:
    try:
        for part in question.function(*question.arguments):
            _put(part, out)
        _put(End(), out)
    except MergeError as error:
        _put(error, out)
    except BrokenPipeError:
        raise
    except Exception as error:
        _put(MergeError(f"a worker process failed: {type(error).__name__}: {error}"), out)


def _put(message: Any, out: IO[bytes]) -> None:
    pickle.dump(message, out)
    out.flush()
