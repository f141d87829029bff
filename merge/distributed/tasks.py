"""What a process does with its shares of a merge: it keeps the plan of one merge between them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Sequence, Set
from typing import Any

from ..streaming.context import ResultKey
from .helper import Helper, Progress, ShareEnd
from .job import Job, go_to

_known: dict[str, Helper] = {}  # by the name of the merge; one at a time


def prepare(job: Job) -> Iterator[Any]:
    """Make the plan of a merge and open everything; there is nothing to yield.

    Raises:
        MergeError: Something cannot be opened.
    """
    _helper(job)
    yield from ()


def process_share(job: Job, results: bytes, numbers: Sequence[int], done: Set[int]) -> Iterator[Progress | ShareEnd]:
    """Compute and write a share of a merge; yield pieces as they are finished, and the end.

    Args:
        job: The merge.
        results: Outcomes of reductions, pickled.
        numbers: Numbers of the pieces.
        done: Those that are done already.

    Raises:
        MergeError: Naming file and tensor.
    """
    helper = _helper(job, results)
    yield from helper.process(numbers, done)
    yield helper.end()


def reduce_share(job: Job, results: bytes, numbers: Sequence[int], reducers: bytes) -> Iterator[dict[ResultKey, Any]]:
    """Yield what each piece of a share contributes to unfinished reducers.

    Args:
        job: The merge.
        results: Outcomes of reductions, pickled.
        numbers: Numbers of the pieces.
        reducers: The reducers by their keys, pickled when the pass began, since its answers change them.

    Raises:
        MergeError: Naming file and tensor.
    """
    return _helper(job, results).reduce(numbers, pickle.loads(reducers))  # noqa: S301 - from the process that asks


def _helper(job: Job, results: bytes | None = None) -> Helper:
    helper = _known.get(job.name)
    if helper is None:
        while _known:
            _known.popitem()[1].close()
        os.environ.update(job.environment)
        go_to(job.folder)
        helper = _known[job.name] = Helper(job)
    if results is not None:
        helper.know(pickle.loads(results))  # noqa: S301 - from the process that asks
    return helper
