"""Tasks of lm-evaluation-harness: found by name, loaded once for all models."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...errors import MergeError, UsageError, some_of, suggest
from .quiet_harness import quiet_harness


@dataclass(frozen=True)
class HarnessData:
    """Which documents a benchmark has.

    Attributes:
        task: A task of the harness, or a group that has a number of its own.
        listed: All the tasks that the same benchmark file lists.
        include_path: Folder with task files of the user's own.
        limit: The most documents of each task, or below 1 a share of them.
        where: Place of the task in the benchmark file, for messages.
    """

    task: str
    listed: tuple[str, ...]
    include_path: Path | None
    limit: float | None
    where: str


@dataclass(frozen=True)
class LoadedTask:
    """A task with its documents in memory.

    Attributes:
        content: What ``simple_evaluate`` takes: a task or a group.
        leaves: The tasks in it by name.
        manager: Where the task was found.
        n: How many documents there are within the limit.
    """

    content: Any
    leaves: dict[str, Any]
    manager: Any
    n: int
    limit: float | None

    def digests(self) -> set[bytes]:
        """Return a digest of every document within the limit, by what it says and not by its task."""
        from ...content_id import digest

        documents = [document for leaf in self.leaves.values() for document in _within(leaf, self.limit)]
        return {digest(json.dumps(each, sort_keys=True, default=str).encode()) for each in documents}


def load_task(data: HarnessData) -> LoadedTask:
    """Load a task.

    Raises:
        UsageError: There is no task of one of the names listed, or it is a list of tasks without a number of its own.
        MergeError: Its documents cannot be loaded.
    """
    with quiet_harness():
        manager = _find_all(data)
        try:
            loaded = manager.load([data.task])
        except Exception as error:  # a task file and its data can be wrong in any way
            first_line = str(error).strip().partition("\n")[0] or type(error).__name__
            what = f"the task '{data.task}' cannot be loaded: {first_line}"
            raise MergeError(what, where=data.where, hint=_remedy(error)) from error
        leaves: dict[str, Any] = loaded["tasks"]
        content = _single(data, loaded["groups"], leaves)
        n = sum(len(_within(leaf, data.limit)) for leaf in leaves.values())
    if n < 2:
        raise UsageError(f"{n} documents are too few: an interval needs at least 2", where=data.where)
    _refuse_code(leaves, data)
    return LoadedTask(content, leaves, manager, n, data.limit)


def _remedy(error: Exception) -> str | None:
    if not isinstance(error, ConnectionError):
        return None
    return "let its data be downloaded once with the network on; HF_HOME says where the cache is"


def _within(leaf: Any, limit: float | None) -> Any:
    """Return the documents of a task that the harness takes under a limit."""
    from lm_eval.evaluator_utils import get_sample_size

    documents, size = leaf.eval_docs, get_sample_size(leaf, limit)
    return documents if size is None or size >= len(documents) else [documents[item] for item in range(size)]


def _find_all(data: HarnessData) -> Any:
    """Return a manager that knows all the tasks listed: the user's own folder first, since the whole set is large."""
    if data.include_path is not None:
        own = _manager(data.include_path, False)
        if all(_is_complete(own, name) for name in data.listed):
            return own
    manager = _manager(data.include_path, True)
    for name in data.listed:
        if name not in manager.all_tasks:
            hint = suggest(name, manager.all_tasks) or "lm-eval ls tasks prints those that there are"
            raise UsageError(f"lm-evaluation-harness has no task '{name}'", where=data.where, hint=hint)
    return manager


def _is_complete(manager: Any, name: str) -> bool:
    """Tell whether a manager knows a task, and all the tasks in it if it is a group."""
    entry = manager.task_index.get(name)
    if entry is None or entry.cfg is None:
        return False
    inside = entry.cfg.get("task")
    return not isinstance(inside, list) or all(isinstance(one, str) and _is_complete(manager, one) for one in inside)


@cache
def _manager(include_path: Path | None, include_defaults: bool) -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager(
        include_path=None if include_path is None else str(include_path), include_defaults=include_defaults
    )


def _single(data: HarnessData, groups: dict[str, Any], leaves: dict[str, Any]) -> Any:
    if data.task in groups:
        group = groups[data.task]
        if group.aggregate_metric_list:
            return group
    elif list(leaves) == [data.task]:
        return leaves[data.task]
    what = f"'{data.task}' stands for {len(leaves)} tasks and has no number of its own"
    raise UsageError(what, where=data.where, hint=f"list them: {some_of(leaves, 8)}")


def _refuse_code(leaves: dict[str, Any], data: HarnessData) -> None:
    for name, task in leaves.items():
        if getattr(task, "UNSAFE_CODE", False):
            hint = "run it with lm-eval itself, in a sandbox"
            raise MergeError(f"the task '{name}' runs code that the model writes", where=data.where, hint=hint)
        if getattr(task, "MULTIMODAL", False):
            raise MergeError(f"the task '{name}' is not of text alone", where=data.where)
