"""Tasks of lm-evaluation-harness, run by the harness itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError
from ...section import Section
from ..language.harness_tasks import HarnessData
from ..language.quiet_harness import check_installed
from ..language.task import ModelByModel

if TYPE_CHECKING:
    from ..language.network import LanguageModel
    from ..outcome import Outcome
    from ..task import Settings

KEYS = ("name", "kind", "tasks", "include_path", "num_fewshot", "limit", "metric", "model")


@dataclass(frozen=True)
class LmEval:
    """One task, all paths resolved.

    Attributes:
        data: The task and its documents.
        num_fewshot: Worked examples before each question; None: what the task says.
        metric: The harness's name of the main metric; None: accuracy, else the task's first.
        model: Folder with configuration and tokenizer for checkpoints that have none beside them.
    """

    name: str
    data: HarnessData
    num_fewshot: int | None
    metric: str | None
    model: Path | None
    where: str
    kind: str = "lm-eval"
    split: str = "the task's own"

    def prepare(self, settings: Settings) -> LmEvalTask:
        """Load the documents."""
        return LmEvalTask(self, settings)


def read(section: Section, folder: Path, name: str) -> list[LmEval]:
    """Read a benchmark of this kind: one for every task, ``NAME/TASK`` where there are several.

    Raises:
        UsageError: With the place of what is wrong.
        MergeError: lm-evaluation-harness is not installed.
    """
    section.check_keys(KEYS, required=("kind", "tasks"))
    check_installed(section.where("kind"))
    tasks = list(_tasks(section))
    listed = tuple(task for task, _ in tasks)
    include_path, limit = _include_path(section, folder), _limit(section)
    return [
        LmEval(
            name=name if len(tasks) == 1 else f"{name}/{task}",
            data=HarnessData(task, listed, include_path, limit, where),
            num_fewshot=section.whole_number("num_fewshot", least=0),
            metric=section.text("metric", "") if "metric" in section.mapping else None,
            model=folder / section.text("model", "") if "model" in section.mapping else None,
            where=section.name,
        )
        for task, where in tasks
    ]


def _tasks(section: Section) -> Iterator[tuple[str, str]]:
    several = isinstance(section.mapping["tasks"], list)
    named = list(section.items("tasks")) if several else [(section.mapping["tasks"], section.where("tasks"))]
    if not named:
        raise UsageError("'tasks' is an empty list", where=section.where("tasks"))
    for task, where in named:
        if not isinstance(task, str) or not task:
            raise UsageError(f"a task must be a name, not {task!r}", where=where)
        yield task, where


def _include_path(section: Section, folder: Path) -> Path | None:
    if "include_path" not in section.mapping:
        return None
    text = section.text("include_path", "")
    if not (folder / text).is_dir():
        raise UsageError(f"no such folder of task files: {text}", where=section.where("include_path"))
    return (folder / text).resolve()


def _limit(section: Section) -> float | None:
    limit = section.number("limit")
    if limit is not None and (limit <= 0 or (limit > 1 and limit != int(limit))):
        what = f"'limit' must be a number of documents, or a share of them below 1, not {section.mapping['limit']!r}"
        raise UsageError(what, where=section.where("limit"))
    return limit


class LmEvalTask(ModelByModel):
    """A task with its documents in memory, run over one model after another."""

    benchmark: LmEval

    def __init__(self, benchmark: LmEval, settings: Settings) -> None:
        from ..language.harness_tasks import load_task

        self.benchmark, self.settings = benchmark, settings
        self.task = load_task(benchmark.data)

    @property
    def n(self) -> int:
        """Number of documents."""
        return self.task.n

    def item_digests(self) -> set[bytes]:
        """Return a digest of every document."""
        return self.task.digests()

    def run(self, model: LanguageModel, folder: Path | None) -> Outcome:
        """Let the harness run a model over all documents."""
        from ..language.harness_outcome import outcome_of
        from ..language.harness_run import run_task

        benchmark, settings = self.benchmark, self.settings
        folder = folder or benchmark.model
        found, notes = run_task(
            self.task, model, settings, folder=folder, num_fewshot=benchmark.num_fewshot, limit=benchmark.data.limit
        )
        name, seed = model.name, settings.seed
        return outcome_of(found, self.task, benchmark.data, benchmark.metric, model=name, seed=seed, notes=notes)
