"""A job ▸ the coefficients of every task vector, and what is recorded of how they were found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import MergeError
from .descent import Learned, learn
from .job import Job
from .recording import about, nothing, outcome
from .trials import ZERO
from .vectors import TaskVectors


@dataclass(frozen=True)
class Result:
    """Coefficients that were learned.

    Attributes:
        learned: What the search came to.
        by_model: For each task vector its coefficients [parts] by the names that its model gives the tensors.
        aliases: For each task vector, names of tied tensors with the name that has the coefficients.
        about: What statistics files record.
    """

    learned: Learned
    by_model: list[dict[str, list[float]]]
    aliases: list[dict[str, str]]
    about: dict[str, Any]


def run(job: Job, note: Callable[[str], None] = lambda line: None, *, allow_base: bool = False) -> Result:
    """Learn the coefficients of a job.

    Args:
        job: What to learn.
        note: Told what is worth knowing.
        allow_base: Whether 0 for all, which is the base, is an outcome.

    Raises:
        MergeError: Nothing better than the base was found, and that is no outcome; or the networks do not run.
        UsageError: The data lacks labels that are needed.
    """
    for line in job.material.notes:
        note(line)
    vectors = TaskVectors(job.members, job.choice.memory, job.tied, seed=job.parts_seed)
    if not vectors.rows:
        raise MergeError("the models share no floating tensor that could be scaled", where="task vectors")
    material = job.material
    learned = learn(
        vectors, material.tasks, material.validation, job.choice, seed=job.seed, labels=material.labels, note=note
    )
    if learned.untouched:
        note(f"{len(learned.untouched)} tensors have no gradient on this data, such as '{learned.untouched[0]}'")
    if learned.best.kind == ZERO and not allow_base:
        other = "learn from other data" if job.material.labels else "select by labelled data: --validation SPEC"
        raise MergeError(nothing(learned, job), hint=f"--allow-base writes the base; or {other}")
    note(outcome(learned, job))
    by_model = [_named(vectors, number, learned) for number in range(len(vectors))]
    aliases = [_aliases(vectors, number) for number in range(len(vectors))]
    return Result(learned, by_model, aliases, about(job, learned))


def _named(vectors: TaskVectors, number: int, learned: Learned) -> dict[str, list[float]]:
    own = learned.best.coefficients[number]
    return {
        vectors.name_in(number, row): own[vectors.block(row, len(own))].tolist()
        for row in vectors.rows
        if row.name not in vectors.tied
    }


def _aliases(vectors: TaskVectors, number: int) -> dict[str, str]:
    rows = {row.name: row for row in vectors.rows}
    return {
        vectors.name_in(number, rows[name]): vectors.name_in(number, rows[owner])
        for name, owner in vectors.tied.items()
    }
