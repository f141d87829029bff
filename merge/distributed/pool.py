"""Processes on this machine that answer questions. One that is killed is replaced, and its question is asked again."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import MergeError
from .pipe import End, HelperProcess, ProcessLostError, Question

ATTEMPTS = 3  # a question that kills its process so often would kill the next one too


class _Asked:
    """A question that stands until some process has answered it in full."""

    def __init__(self, number: int, question: Question) -> None:
        self.number, self.question, self.attempts = number, question, 0


class ProcessPool:
    """Some processes; inside a ``with`` block.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._helpers: list[HelperProcess | None] = []
        self._threads: list[threading.Thread] = []
        self._open: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._starting = threading.Lock()
        self._closing = False

    def __enter__(self) -> ProcessPool:
        self._helpers = [HelperProcess() for _ in range(self._count)]
        return self

    def __exit__(self, *error: object) -> None:
        with self._starting:
            self._closing = True
            helpers = [helper for helper in self._helpers if helper is not None]
        for helper in helpers:
            helper.kill()
        self._join()
        for helper in helpers:
            helper.close()

    def ask(self, questions: Sequence[Question]) -> Iterator[tuple[int, Any]]:
        """Have questions answered side by side; yield the parts of the answers as they come, `End` last.

        A question whose process is lost is answered from the beginning once more.

        Yields:
            The number of the question, and a part of its answer.

        Raises:
            MergeError: What a process could not do, or that one after the other is lost.
        """
        self._open = queue.SimpleQueue()
        for number, question in enumerate(questions):
            self._open.put(_Asked(number, question))
        answers: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._keep_asking, args=(slot, answers), daemon=True) for slot in range(self._count)
        ]
        for thread in self._threads:
            thread.start()
        left = len(questions)
        while left:
            number, found = answers.get()
            if isinstance(found, BaseException):
                raise found
            yield number, found
            left -= isinstance(found, End)
        self._join()

    def _join(self) -> None:
        """Let the threads that ask come to their end."""
        for _ in self._threads:
            self._open.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _keep_asking(self, slot: int, answers: queue.SimpleQueue[tuple[int, Any]]) -> None:
        """Ask one process after another question, until there is none or something cannot be done."""
        while (asked := self._open.get()) is not None:
            try:
                for part in self._helper(slot).ask(asked.question):
                    answers.put((asked.number, part))
                answers.put((asked.number, End()))
            except ProcessLostError:
                if self._closing:
                    return
                if (problem := self._lost(slot, asked)) is not None:
                    answers.put((asked.number, problem))
                    return
                self._open.put(asked)
            except BaseException as error:
                answers.put((asked.number, error))
                return

    def _helper(self, slot: int) -> HelperProcess:
        with self._starting:
            helper = self._helpers[slot]
            if helper is None:
                if self._closing:
                    raise ProcessLostError
                helper = self._helpers[slot] = HelperProcess()
            return helper

    def _lost(self, slot: int, asked: _Asked) -> MergeError | None:
        """Let go of a process that has died; return what to say when its question cannot be answered."""
        helper, self._helpers[slot] = self._helpers[slot], None
        assert helper is not None  # noqa: S101 - it was asked
        helper.kill()
        helper.close()
        asked.attempts += 1
        if asked.attempts < ATTEMPTS:
            return None
        what = f"{ATTEMPTS} worker processes died on the same share of the work, the last one {helper.epitaph}"
        return MergeError(what, hint="memory may be short: give fewer --workers or --threads")
