"""Processes on this machine that answer questions. One that is killed is replaced, and its question is asked again."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from ..errors import MergeError
from .pipe import End, HelperProcess, ProcessLostError, Question

ATTEMPTS = 3  # a question that kills its process so often would kill the next one too


Numbered = tuple[int, Question]
Open = queue.SimpleQueue[Numbered | None]
Answers = queue.SimpleQueue[tuple[int, Any]]
Ask = Callable[[int, Question], Iterable[Any]]


class ProcessPool:
    """Some processes; inside a ``with`` block.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._helpers: list[HelperProcess | None] = []
        self._threads: list[threading.Thread] = []
        self._open: Open = queue.SimpleQueue()
        self._conversations = [threading.Lock() for _ in range(count)]
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
        for _ in self._threads:
            self._open.put(None)  # after an error, some may still wait for a question
        for thread in self._threads:
            thread.join()
        for helper in helpers:
            helper.close()

    def ask(
        self,
        questions: Sequence[Question],
        here: Callable[[int], Iterable[Any]] | None = None,
        first: Question | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Have questions answered side by side; yield the parts of the answers as they come, `End` last.

        A question whose process is lost is answered from the beginning once more.

        Args:
            questions: What is asked.
            here: Answers questions in this process, given their numbers; none of them where there is no such thing.
            first: What a process must have answered, with nothing, before it is given a question, so that none waits
                for a process that is still starting.

        Yields:
            The number of the question, and a part of its answer.

        Raises:
            MergeError: What a process could not do, or that one after the other is lost.
        """
        open_: Open = queue.SimpleQueue()
        self._open = open_
        for numbered in enumerate(questions):
            open_.put(numbered)
        answers: Answers = queue.SimpleQueue()
        tasks = [partial(self._ask_on, slot, first, open_, answers) for slot in range(self._count)]
        if here is not None:
            tasks.append(partial(self._keep_asking, lambda number, _: here(number), open_, answers))
        threads = [threading.Thread(target=task, daemon=True) for task in tasks]
        self._threads = [thread for thread in self._threads if thread.is_alive()] + threads
        for thread in threads:
            thread.start()
        left = len(questions)
        while left:
            number, found = answers.get()
            if isinstance(found, BaseException):
                raise found
            yield number, found
            left -= isinstance(found, End)
        for _ in threads:
            open_.put(None)

    def _ask_on(self, slot: int, first: Question | None, open_: Open, answers: Answers) -> None:
        """Have one process answer questions once it is ready, and no others than these meanwhile."""
        with self._conversations[slot]:
            try:
                for _ in self._ask_process(slot, first) if first is not None else ():
                    pass
            except BaseException as error:
                answers.put((-1, error))
                return
            self._keep_asking(lambda _, question: self._ask_process(slot, question), open_, answers)

    def _keep_asking(self, ask: Ask, open_: Open, answers: Answers) -> None:
        """Have one question after another answered, until there is none or something cannot be done."""
        while (asked := open_.get()) is not None and not self._closing:
            number, question = asked
            try:
                for part in ask(number, question):
                    answers.put((number, part))
                answers.put((number, End()))
            except BaseException as error:
                answers.put((number, error))
                return

    def _ask_process(self, slot: int, question: Question) -> Iterator[Any]:
        """Yield a process's answer, from the beginning again where the process is lost."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                yield from self._helper(slot).ask(question)
                return
            except ProcessLostError:
                if self._closing:
                    raise
                epitaph = self._bury(slot)
                if attempt == ATTEMPTS:
                    raise _hopeless(epitaph) from None

    def _helper(self, slot: int) -> HelperProcess:
        with self._starting:
            helper = self._helpers[slot]
            if helper is None:
                if self._closing:
                    raise ProcessLostError
                helper = self._helpers[slot] = HelperProcess()
            return helper

    def _bury(self, slot: int) -> str:
        """Let go of a process that has died; return how it did."""
        with self._starting:
            helper, self._helpers[slot] = self._helpers[slot], None
        assert helper is not None  # noqa: S101 - it was asked
        helper.kill()
        helper.close()
        return helper.epitaph


def _hopeless(epitaph: str) -> MergeError:
    what = f"{ATTEMPTS} worker processes died on the same share of the work, the last one {epitaph}"
    return MergeError(what, hint="memory may be short: give fewer --workers or --threads")
